"""Conversations as token ids: the model's own Jinja template, which no message can escape from."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from jinja2 import TemplateError

from shared.model.errors import ModelError
from shared.model.sandbox import MAX_CHARS, Sandbox, TemplateRefused
from shared.model.tokenizer import Tokenizer

Message = Mapping[str, str]
"""`role` and `content`."""

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] "
    "+ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PLAIN = (
    "{{ bos_token }}{% for message in messages %}{{ turns[message['role']] + message['content'] }}"
    "{{ turns['end'] }}{% endfor %}{% if add_generation_prompt %}{{ turns['assistant'].rstrip() }}{% endif %}"
)
PLAIN_TURNS = {"system": "", "user": "User: ", "assistant": "Akane: ", "end": "\n"}
MAX_SOURCE_CHARS = 1 << 17
ROLES = ("system", "user", "assistant")


class ChatTemplate:
    """Renders messages to ids. Raises ModelError in one sentence for a template that cannot be used.

    A message stands in the template as a random word and is put back after rendering: only what the template
    itself wrote can become a special token. Equal leading messages give equal leading ids.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        source: str = CHATML,
        *,
        bos_token: str = "",
        eos_token: str = "",
        turns: Mapping[str, str] | None = None,
    ) -> None:
        """`turns`: texts that begin each role's turn and `end` it, for models without special tokens."""
        if len(source) > MAX_SOURCE_CHARS:
            raise ModelError(
                f"The chat template is longer than {MAX_SOURCE_CHARS} characters: it is not used."
            )
        started = datetime.now()
        self._tokenizer = tokenizer
        # Frozen, for a clock in the first message would make every prefix a new one at midnight.
        helpers = {"strftime_now": started.strftime, "raise_exception": _raise_exception}
        self._sandbox = Sandbox(helpers)
        self._names = {"bos_token": bos_token, "eos_token": eos_token}
        self._turns = dict(turns) if turns is not None else None
        self.described: dict[str, Any] = {**self._names, "chat_template": source}
        """What a checkpoint needs to hold so that its template is this one."""
        if turns is not None:
            self.described = {**self._names, "turn_tokens": dict(turns)}
        end = self._turns["end"] if self._turns is not None else ""
        self.stop_strings: tuple[str, ...] = (end,) if end and end not in tokenizer.specials else ()
        """Texts that end a reply, for models whose turns do not end with a special token."""
        names = sorted(tokenizer.specials, key=len, reverse=True)
        self._specials = re.compile("(" + "|".join(map(re.escape, names)) + ")") if names else None
        try:
            self._template = self._sandbox.from_string(PLAIN if self._turns is not None else source)
        except (TemplateError, RecursionError, SyntaxError, ValueError, MemoryError) as error:
            raise ModelError(f"The chat template is not valid: {_reason(error)}.") from None
        self._injects_system = self._finds_injected_system()

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = True) -> list[int]:
        """Ids of the conversation, with the opening of the assistant's turn after it if asked.

        Without a system message the template's own default one is suppressed: the persona is not its affair.
        """
        given = [_checked(message) for message in messages]
        if self._injects_system and (not given or given[0]["role"] != "system"):
            given.insert(0, {"role": "system", "content": ""})
        return self._tokenise(*self._rendered(given, add_generation_prompt))

    def _rendered(
        self, messages: Sequence[Message], add_generation_prompt: bool
    ) -> tuple[str, dict[str, str]]:
        """The template's text with a random word for each message, and what the words stand for."""
        contents: dict[str, str] = {}
        stand_ins: list[dict[str, str]] = []
        nonce = secrets.token_hex(8)
        for i, message in enumerate(messages):
            content = message["content"]
            if self._turns is not None:
                # A line break would let a message begin somebody else's turn.
                content = " ".join(content.split())
            core = content.strip()
            word = f"Q{nonce}N{i}Q" if core else ""
            contents[word] = core
            # White space stays visible to the template, which may trim it.
            at = content.find(core)
            stand_in = content[:at] + word + content[at + len(core) :] if core else content
            stand_ins.append({"role": message["role"], "content": stand_in})
        contents.pop("", None)
        context: dict[str, Any] = {**self._names, "messages": stand_ins, "turns": self._turns}
        context |= {"add_generation_prompt": add_generation_prompt, "tools": None, "documents": None}
        # Families that can think aloud (Qwen3) are told not to: what they write is spoken.
        context["enable_thinking"] = False
        self._sandbox.restart()
        pieces: list[str] = []
        length = 0
        try:
            for piece in self._template.generate(context):
                pieces.append(piece)
                length += len(piece)
                if length > MAX_CHARS + 64 * len(messages):
                    raise TemplateRefused("it builds too long a text")
        except RecursionError:
            raise ModelError("The chat template fails: it calls itself without end.") from None
        except (
            TemplateError,
            TypeError,
            ValueError,
            LookupError,
            ArithmeticError,
            AttributeError,
            MemoryError,
        ) as e:
            raise ModelError(f"The chat template fails: {_reason(e)}.") from None
        return "".join(pieces), contents

    def _tokenise(self, text: str, contents: Mapping[str, str]) -> list[int]:
        ids: list[int] = []
        run = ""
        nonce = next(iter(contents))[1:17] if contents else ""
        words = re.compile("(" + "|".join(contents) + ")") if contents else None
        for part in words.split(text) if words else [text]:
            if part in contents:
                run += contents[part]
                continue
            if nonce and nonce in part.lower():
                raise ModelError(
                    "The chat template changes the text of the messages, which is not supported."
                )
            for piece in self._specials.split(part) if self._specials else [part]:
                if piece in self._tokenizer.specials:
                    ids += self._tokenizer.encode(run)
                    ids.append(self._tokenizer.specials[piece])
                    run = ""
                else:
                    run += piece
        return ids + self._tokenizer.encode(run)

    def _finds_injected_system(self) -> bool:
        """Does the template open a system turn of its own when the first message is not one?"""
        if self._turns is not None:
            return False
        user = {"role": "user", "content": "b"}
        without, contents = self._rendered([user], False)
        before_user = without.partition(next(iter(contents)))[0]
        try:
            with_system, contents = self._rendered([{"role": "system", "content": "a"}, user], False)
        except ModelError:
            return False
        opening = with_system.partition(next(iter(contents)))[0]
        return bool(opening) and before_user.startswith(opening)


def choose_template(
    tokenizer: Tokenizer, source: str | None, *, bos_token: str = "", eos_token: str = ""
) -> ChatTemplate:
    """The model's own template; without one ChatML if the model has its tokens, else plain lines."""
    if source is not None:
        return ChatTemplate(tokenizer, source, bos_token=bos_token, eos_token=eos_token)
    if {"<|im_start|>", "<|im_end|>"} <= tokenizer.specials.keys():
        return ChatTemplate(tokenizer)
    return ChatTemplate(tokenizer, bos_token=bos_token, turns=PLAIN_TURNS)


def _checked(message: Message) -> Message:
    role, content = message.get("role"), message.get("content")
    if role not in ROLES or not isinstance(content, str):
        raise ModelError(f"A message needs a role of {', '.join(ROLES)} and a text, not {str(role)[:40]!r}.")
    return {"role": role, "content": content}


def _raise_exception(message: str) -> None:
    raise TemplateRefused(str(message)[:200])


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
