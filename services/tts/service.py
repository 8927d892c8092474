"""The voice process: commands in, sound out, and an event for everything that is heard."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import ClassVar

from services.tts.checks import findings
from services.tts.child_process import start_child
from services.tts.devices import DeviceError
from services.tts.engine import Engine, Failed, Rendered
from services.tts.playback import Playback
from services.tts.ring import Ring
from services.tts.scheduler import Scheduler, SpeakRefused
from services.tts.wav import write_turn
from shared.bus import Bus, Message, Refused, Request, SourceLost
from shared.clock import Clock
from shared.commands import Speak, StopSpeech
from shared.config import Settings
from shared.events import TurnState
from shared.service import Finding, Service, StartError

log = logging.getLogger(__name__)

SPEAKING_TICK_S = 1 / 30
IDLE_TICK_S = 1.0
PAUSE_AFTER_S = 3.0
"""The device goes on this long after the last word: a next turn starts without the device's own delay."""
POLL_LOADING_S = 0.05
START_S = 150.0


class TtsService(Service):
    """Says what `tts.speak` brings, and nothing else."""

    name = "tts"
    topics: ClassVar[tuple[str, ...]] = ("turn.state",)

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__(settings, bus, clock)
        tts = settings.tts
        self._folder = Path(tts.audio_out).expanduser() if tts.audio_out else None
        self._ring = Ring(record=self._folder is not None)
        self.engine = Engine(
            tts.voice,
            partial(start_child, tts, bus.wake),
            rate=tts.rate,
            volume=tts.volume,
            expressive=tts.expressive,
        )
        self.scheduler = Scheduler(self._ring, voice=tts.voice, record=self._folder is not None)
        self._playback: Playback | None = None
        self._quiet_since: float | None = None
        self._next_tick = 0.0

    def start(self) -> None:
        """Open the sound device and warm the voice; StartError when recordings cannot be written."""
        tts = self.settings.tts
        if self._folder:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StartError(
                    f"The folder {self._folder} for recordings cannot be made: {error.strerror}."
                ) from None
        self.bus.handle(Speak, self._speak)
        self.bus.handle(StopSpeech, self._stop_speech)
        self.engine.poll(self.clock())
        try:
            want = "null" if tts.mute else tts.device
            self._playback = Playback(self._ring, tts.buffer_ms, tts.output_offset_ms, want)
        except DeviceError as error:
            raise StartError(f"There is no way to play sound: {error}.") from None
        give_up_at = self.clock() + START_S
        while not self.engine.ready:
            if self.clock() >= give_up_at:
                raise StartError(f"The voice engine does not start within {START_S:.0f} s: see the log.")
            for item in self.bus.poll(POLL_LOADING_S):
                if isinstance(item, Message):
                    self.on_event(item)
                else:
                    self.on_lost(item)
            self.engine.poll(self.clock())
            if self.engine.refused:
                raise StartError(f"The {tts.voice} voice: {self.engine.refused}.")
            if self.engine.loading and self.engine.loading != self.detail:
                self.detail = self.engine.loading
                self.beat()
                give_up_at = self.clock() + START_S
        self._show_phase()

    def on_event(self, message: Message) -> None:
        """Learn the show's epoch after a restart of this process."""
        if isinstance(message.payload, TurnState):
            self.scheduler.raise_epoch(message.payload.epoch)

    def on_lost(self, lost: SourceLost) -> None:
        """Without its director a turn has no end: fall silent."""
        self.scheduler.lose("lost", lost.session)

    def tick(self) -> float:
        """Feed the engine, report what the loudspeaker has reached, publish."""
        assert self._playback is not None
        now = self.clock()
        self._render(now)
        if self.scheduler.speaking:
            self._quiet_since = None
            if self._ring.waiting:  # a device that starts on a full ring sounds a whole buffer earlier
                self._playback.resume()
            self._playback.look(now)
            self.scheduler.advance(round(now * 1e9), self._playback.clock.frame(now))
        else:
            self._rest(now)
        self._publish()
        self._show_phase()
        if not self.scheduler.speaking:
            return IDLE_TICK_S
        if now >= self._next_tick:
            self._next_tick = max(self._next_tick + SPEAKING_TICK_S, now)
        return max(0.0, self._next_tick - self.clock())

    def stop(self) -> None:
        """Silence, last endings, last recordings, then the child and the device."""
        self.scheduler.lose("stopped")
        if self._playback:
            self._playback.close()
        self._ring.clear()
        self.scheduler.advance(round(self.clock() * 1e9), self._ring.delivered)
        self._publish()
        self.engine.close()

    @classmethod
    def check(cls, settings: Settings) -> list[Finding]:
        """The voice and the sound device."""
        return findings(settings.tts)

    def _speak(self, command: Speak, request: Request) -> None:
        try:
            self.scheduler.speak(command, request.session)
        except SpeakRefused as refused:
            raise Refused(str(refused)) from None

    def _stop_speech(self, command: StopSpeech, _: Request) -> None:
        self.scheduler.raise_epoch(command.epoch)
        self._publish()

    def _render(self, now: float) -> None:
        if self.scheduler.current_job is None:
            self.engine.forget()
        for outcome in self.engine.poll(now):
            if isinstance(outcome, Rendered):
                self.scheduler.voice = self.engine.voice
                self.scheduler.rendered(*outcome)
            elif isinstance(outcome, Failed):
                log.warning("a chunk could not be spoken: %s", outcome.sentence)
                self.scheduler.failed(*outcome)
        if job := self.scheduler.next_job():
            self.engine.submit(job)
            self.engine.poll(now)

    def _rest(self, now: float) -> None:
        """Nothing is said: look for a device that was lost, and let it stand still after a while."""
        assert self._playback is not None
        self._playback.retry(now)
        if self._quiet_since is None:
            self._quiet_since = now
        elif now - self._quiet_since >= PAUSE_AFTER_S:
            self._playback.pause()

    def _publish(self) -> None:
        """Recordings first: who hears that a turn is done finds its file."""
        recordings, self.scheduler.recordings = self.scheduler.recordings, []
        for recording in recordings:
            assert self._folder is not None
            try:
                write_turn(self._folder, recording)
            except OSError as error:
                log.warning("a recording could not be written to %s: %s", self._folder, error.strerror)
        events, self.scheduler.events = self.scheduler.events, []
        for topic, event in events:
            self.bus.publish(topic, event)

    def _show_phase(self) -> None:
        assert self._playback is not None
        if troubles := [each for each in (self.engine.complaint, self._playback.trouble) if each]:
            self.degraded(" ".join(troubles))
        else:
            sound = "muted" if self.settings.tts.mute else self._playback.name
            holes = f", {self._ring.underruns} underruns" if self._ring.underruns else ""
            self.ready(f"{self.engine.voice} voice, {sound}{holes}")
