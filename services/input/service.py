"""The input service: brings every source to the bus as `chat.message` and knows when all is answered."""

from __future__ import annotations

import logging
import uuid
from collections import deque
from pathlib import Path
from typing import ClassVar

from services.input.answering import Answering
from services.input.flood import FloodGate
from services.input.inbox import Inbox
from services.input.lines import BadLine, Lines, check_line, decode_line, read_script
from services.input.stdin_reader import StdinReader
from services.input.twitch import Status, channel_name
from services.input.twitch_reader import TwitchReader, connect, explain, server_address
from shared.blocklist import load_blocklist
from shared.bus import Bus, CommandError, Message, Refused, Request, SourceLost
from shared.clock import Clock
from shared.commands import Reply, ServiceStop, StopShow, Submit, SubmitReply
from shared.config import ConfigError, InputSettings, Settings
from shared.events import ChatMessage, Processes, TurnState
from shared.sanitize import clean_name
from shared.service import Finding, Service, StartError

log = logging.getLogger(__name__)

MAX_SUBMITTED = 50
INBOX_MESSAGES = 1_000
CHAT_PER_TICK = 50
CHECK_S = 3.0


class InputService(Service):
    """Takes what people type in the terminal, a script or a stream chat and puts it on the bus."""

    name: ClassVar[str] = "input"
    topics: ClassVar[tuple[str, ...]] = ("turn.state", "sys.health", "sys.processes")

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__(settings, bus, clock)
        self._answering = Answering(clock())
        self._typed = Lines("terminal")
        self._script = Lines("script")
        self._submitted: deque[ChatMessage] = deque()
        self._last_sent_at = clock()
        self._stdin: StdinReader | None = None
        self._twitch: TwitchReader | None = None
        self._twitch_status: Status | None = None
        self._inbox = Inbox(INBOX_MESSAGES, bus.wake)
        self._flood = FloodGate()
        self._refusal = ""
        self._ending = False

    def start(self) -> None:
        """Open every source of the settings. StartError for a bad script, channel or block-list."""
        wanted = self.settings.input
        try:
            self._blocklist = load_blocklist(self.settings.director.blocklist)
            for line in read_script(Path(wanted.script)) if wanted.script else []:
                self._script.put(line)
        except (BadLine, ConfigError) as error:
            raise StartError(str(error)) from None
        self._script.end()
        channel = _twitch_channel(wanted)
        self.bus.handle(Submit, self._on_submit)
        if wanted.stdin:
            self._stdin = StdinReader(self.bus.wake)
            self._stdin.start()
        if channel:
            self._twitch_status = Status(False, f"connecting to {wanted.twitch_server}")
            self._twitch = TwitchReader(wanted, channel, self._inbox.put, self._on_twitch_status)
            self._twitch.start()

    def on_event(self, message: Message) -> None:
        """Turns that end answer our lines; the director's beats show that it is there."""
        payload = message.payload
        if isinstance(payload, TurnState):
            self._answering.turned(payload, self.clock())
            if payload.phase == "done":
                self._typed.answered(payload.message_id)
                self._script.answered(payload.message_id)
        elif isinstance(payload, Processes):
            self._answering.supervised(payload)
        elif message.source == "director":
            ready = payload.phase in ("ready", "degraded")
            self._answering.heard(message.session, self.clock(), ready)

    def on_lost(self, lost: SourceLost) -> None:
        """The director's death takes what it had not answered with it."""
        if lost.source == "director" and self._answering.lost(lost.session, self.clock()):
            self._give_up("The director was restarted and forgot the line.")

    def tick(self) -> float:
        """Move lines from the sources to the bus as far as they may go."""
        self._take_stdin()
        if not self._answering.away(self.clock()):
            self._publish_typed()
        busy = self._publish_stream()
        if self._typed.open or self._script.open:
            reason = self._answering.hopeless(self._last_sent_at, self.clock())
            if reason:
                self._give_up(reason)
        self._tell_state()
        if self._is_over() and not self._ending:
            self._ending = True
            self.bus.ask(StopShow(), self._on_stop_answer)
        return 0.0 if busy else 1.0

    def stop(self) -> None:
        """Leave the stream chat."""
        if self._twitch:
            self._twitch.stop()

    @classmethod
    def check(cls, settings: Settings) -> list[Finding]:
        """Whether the script can be read and the chat server reached, if there are any."""
        return [*_check_script(settings.input), *_check_twitch(settings.input)]

    def _on_submit(self, command: Submit, _: Request) -> SubmitReply:
        try:
            text = check_line(command.text)
        except BadLine as error:
            raise Refused(str(error)) from None
        if not text:
            raise Refused("The line has nothing that can be read: type some words.")
        self._refusal = ""
        if len(self._submitted) >= MAX_SUBMITTED:
            raise Refused("Too many lines wait for the director to come back: try again in a moment.")
        message = _message(text, command.channel, clean_name(command.author))
        self._submitted.append(message)
        return SubmitReply(message_id=message.id)

    def _take_stdin(self) -> None:
        while self._stdin and self._typed.hungry:
            lines = self._stdin.take()
            if lines is None:
                self._typed.end()
                return
            if not lines:
                return
            for raw in lines:
                try:
                    text = decode_line(raw)
                except BadLine as error:
                    self._refuse(str(error))
                    continue
                if text:
                    self._refusal = ""
                    self._typed.put(text)

    def _publish_typed(self) -> None:
        while self._submitted:
            self._publish(self._submitted.popleft())
        for lines in (self._typed, self._script):
            while (text := lines.take()) is not None:
                message = _message(text, lines.channel, "you")
                self._publish(message)
                lines.sent(message.id)
                self._last_sent_at = self.clock()
                if lines is self._script:
                    self._refusal = ""

    def _publish_stream(self) -> bool:
        """Pass on what the stream chat brought; True when there is more."""
        items = self._inbox.take(CHAT_PER_TICK)
        for item in items:
            if not isinstance(item, ChatMessage):
                self.bus.publish("chat.retracted", item)
            elif self._flood.passes(item.author_id, self.clock()):
                self._publish(item)
        return len(items) == CHAT_PER_TICK

    def _publish(self, message: ChatMessage) -> None:
        """To the bus with the block-list's verdict, so that no picture shows a line before it is judged."""
        rule = self._blocklist.rule_for(message.text) or self._blocklist.rule_for(message.author)
        self.bus.publish("chat.message", message.model_copy(update={"rule": rule or ""}))

    def _on_twitch_status(self, status: Status) -> None:
        self._twitch_status = status  # one assignment, from the reader's thread
        self.bus.wake()

    def _refuse(self, sentence: str) -> None:
        self._refusal = sentence
        self._tell_state()

    def _give_up(self, reason: str) -> None:
        given_up = [lines.give_up() for lines in (self._typed, self._script)]
        if any(given_up):
            self._refuse(reason)

    def _tell_state(self) -> None:
        status = self._twitch_status
        if self._refusal:
            self.degraded(self._refusal)
        elif status is None:
            self.ready()
        elif status.ok:
            dropped = self._flood.dropped + self._inbox.dropped
            self.ready(status.detail + (f", {dropped} lines of a flood left out" if dropped else ""))
        else:
            self.degraded(status.detail)

    def _is_over(self) -> bool:
        """Nothing will be typed any more and all is answered; a screen goes on after its script."""
        wanted = self.settings.input
        if self._typed.quit:
            return self._typed.finished
        if wanted.script:
            unattended = wanted.stdin or self.settings.dashboard.plain or self._script.quit
            return unattended and self._script.finished and not self._typed.open
        return wanted.stdin and self._typed.finished

    def _on_stop_answer(self, answer: Reply | CommandError) -> None:
        if isinstance(answer, CommandError):  # no launcher: we were started by hand and leave alone
            self.bus.ask(ServiceStop(), lambda _: None, target=self.name)


def _message(text: str, channel: str, author: str) -> ChatMessage:
    return ChatMessage(id=uuid.uuid4().hex, channel=channel, author=author, author_id=author, text=text)


def _twitch_channel(wanted: InputSettings) -> str:
    """The channel to read, empty for none; StartError when the settings cannot be right."""
    if not wanted.twitch:
        return ""
    channel = channel_name(wanted.twitch)
    if channel is None:
        raise StartError(
            f"{wanted.twitch!r} is not a Twitch channel: a name has 1 to 25 letters, digits or underscores."
        )
    if server_address(wanted.twitch_server) is None:
        raise StartError(f"input.twitch_server is {wanted.twitch_server!r}: it should look like host:port.")
    if wanted.twitch_ca and not Path(wanted.twitch_ca).is_file():
        raise StartError(f"input.twitch_ca names {wanted.twitch_ca}, but there is no such file.")
    return channel


def _check_script(wanted: InputSettings) -> list[Finding]:
    if not wanted.script:
        return []
    try:
        lines = read_script(Path(wanted.script))
    except BadLine as error:
        return [Finding("script", False, str(error), "Mend the file or leave out --script.")]
    return [Finding("script", True, f"{len(lines)} lines in {wanted.script}")]


def _check_twitch(wanted: InputSettings) -> list[Finding]:
    try:
        channel = _twitch_channel(wanted)
    except StartError as error:
        return [Finding("twitch", False, str(error), "Give the name that stands in the channel's address.")]
    if not channel:
        return []
    server = wanted.twitch_server
    try:
        connect(wanted, CHECK_S).close()
    except OSError as error:
        fix = "Check the network and input.twitch_server; the show runs without it and keeps trying."
        return [Finding("twitch", False, f"{server} cannot be reached: {explain(error)}", fix)]
    return [Finding("twitch", True, f"{server} answers; the channel is {channel}")]
