"""An OBS for tests: a real WebSocket server that speaks obs-websocket 5 as docs/generated/protocol.md says."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

SALT, CHALLENGE = (
    "lM1GncleQOaCu9lT1yeUZhFYnqhsLLP1G5lAGo3ixaI=",
    "+IxH4CnCiqpX1rM9scsNynZzbOe4KhDeYcTNS3PDaeY=",
)
NOT_FOUND = (600, "No source was found.")


class FakeObs:
    """Has text sources, scenes and items, keeps what is set; `password` empty asks for none."""

    def __init__(self, password: str = "", port: int = 0) -> None:
        self.password = password
        self.kinds = {
            "Name": "text_gdiplus",
            "Asked": "text_ft2_source",
            "Says": "text_ft2_source",
            "Cam": "dshow_input",
        }
        self.texts: dict[str, list[str]] = {}
        self.scenes = ["Main", "Talking", "Chatting", "BRB"]
        self.items = {("Main", "Dots"): 7}
        self.scene = "Main"
        self.switches: list[str] = []
        self.shown: dict[tuple[str, int], bool] = {}
        self.connections: list[ServerConnection] = []
        self.asked: list[str] = []
        self.identified: list[dict[str, Any]] = []
        self.answers = True
        self.refusal: Callable[[str], tuple[int, str] | None] = lambda kind: None
        self._server: Server = serve(self._converse, "127.0.0.1", port, compression=None)
        self.port: int = self._server.socket.getsockname()[1]
        self.address = f"ws://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeObs:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        for connection in self.connections:
            connection.close_socket()
        self._thread.join(5)

    def cut(self) -> None:
        """The network breaks."""
        self.connections[-1].close_socket()

    def kick(self) -> None:
        """The Kick button of the session list."""
        self.connections[-1].close(4011, "Your session has been invalidated.")

    def _converse(self, socket: ServerConnection) -> None:
        self.connections.append(socket)
        try:
            hello: dict[str, Any] = {
                "obsStudioVersion": "30.2.2",
                "obsWebSocketVersion": "5.5.2",
                "rpcVersion": 1,
            }
            if self.password:
                hello["authentication"] = {"challenge": CHALLENGE, "salt": SALT}
            socket.send(json.dumps({"op": 0, "d": hello}))
            first = json.loads(socket.recv())
            if first["op"] != 1:
                return socket.close(
                    4007, "You attempted to send a non-Identify message while not identified."
                )
            if self.password and first["d"].get("authentication") != self._expected():
                return socket.close(4009, "Authentication failed.")
            if first["d"]["rpcVersion"] != 1:
                return socket.close(4010, "Your requested RPC version is not supported by this server.")
            self.identified.append(first["d"])
            socket.send(json.dumps({"op": 2, "d": {"negotiatedRpcVersion": 1}}))
            for frame in socket:
                message = json.loads(frame)
                assert message["op"] == 6
                if self.answers:
                    socket.send(json.dumps({"op": 7, "d": self._answer(message["d"])}))
        except (ConnectionClosed, OSError):
            return None

    def _expected(self) -> str:
        secret = base64.b64encode(hashlib.sha256((self.password + SALT).encode()).digest()).decode()
        return base64.b64encode(hashlib.sha256((secret + CHALLENGE).encode()).digest()).decode()

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        kind = asked["requestType"]
        self.asked.append(kind)
        code, comment, found = 100, "", {}
        if refusal := self.refusal(kind):
            code, comment = refusal
        else:
            done = getattr(self, f"_{kind}")(asked["requestData"])
            if isinstance(done, tuple):
                code, comment = done
            else:
                found = done
        status: dict[str, Any] = {"result": code == 100, "code": code}
        if comment:
            status["comment"] = comment
        made = {"requestType": kind, "requestId": asked["requestId"], "requestStatus": status}
        return {**made, "responseData": found} if found else made

    def _GetInputList(self, _: dict[str, Any]) -> Any:
        rows = [
            {"inputName": name, "inputKind": f"{kind}_v2", "unversionedInputKind": kind}
            for name, kind in self.kinds.items()
        ]
        return {"inputs": rows}

    def _GetSceneList(self, _: dict[str, Any]) -> Any:
        return {
            "scenes": [{"sceneIndex": index, "sceneName": name} for index, name in enumerate(self.scenes)]
        }

    def _GetSceneItemId(self, data: dict[str, Any]) -> Any:
        number = self.items.get((data["sceneName"], data["sourceName"]))
        return NOT_FOUND if number is None else {"sceneItemId": number}

    def _SetInputSettings(self, data: dict[str, Any]) -> Any:
        if data["inputName"] not in self.kinds:
            return NOT_FOUND
        assert data["overlay"] is True
        self.texts.setdefault(data["inputName"], []).append(data["inputSettings"]["text"])
        return {}

    def _SetCurrentProgramScene(self, data: dict[str, Any]) -> Any:
        if data["sceneName"] not in self.scenes:
            return NOT_FOUND
        self.scene = data["sceneName"]
        self.switches.append(self.scene)
        return {}

    def _SetSceneItemEnabled(self, data: dict[str, Any]) -> Any:
        self.shown[(data["sceneName"], data["sceneItemId"])] = data["sceneItemEnabled"]
        return {}
