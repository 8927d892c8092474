"""Ask the model one question and watch the answer arrive: python ask.py "Why is the sky blue?"."""

import sys
import uuid

from shared.bus import Bus, BusError, CommandError, SourceLost
from shared.commands import Cancel, ChatTurn, Generate

question = " ".join(sys.argv[1:]) or "Say hello in one sentence."
generation = uuid.uuid4().hex  # ours to choose: it tells our tokens from everybody else's
asked = Generate(generation=generation, messages=[ChatTurn(role="user", content=question)])
try:
    with Bus.open("ask", ["llm.token", "llm.finished"]) as bus:
        bus.request(asked, timeout_s=20.0)  # the model may still be loading
        try:
            for item in bus.events(lost=True):
                if isinstance(item, SourceLost):
                    if item.source == "llm":
                        sys.exit("\nask: the model was restarted and forgot the question: ask again.")
                elif item.topic == "llm.token" and item.payload.generation == generation:
                    print(item.payload.text, end="", flush=True)
                elif item.topic == "llm.finished" and item.payload.generation == generation:
                    end = item.payload
                    print(f"\n[{end.reason}, {end.completion_tokens} tokens, {end.tokens_per_s:.0f}/s]")
                    break
        except KeyboardInterrupt:
            bus.request(Cancel(generation=generation))  # or it would go on for nobody
except (BusError, CommandError) as error:
    sys.exit(f"ask: {error}")
