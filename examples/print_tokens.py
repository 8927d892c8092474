"""Her tokens as they come; a reply that was joined late or lost a piece is printed whole at its end."""

from shared.follow import follow

said: dict[str, str] = {}
for message in follow("print_tokens", "llm.token", "llm.finished"):
    event, so_far = message.payload, said.pop(message.payload.generation, "")
    if message.topic == "llm.token":
        said[event.generation] = so_far + event.text
        print(event.text, end="", flush=True)
    else:
        print("" if so_far == event.text else f"\n{event.text}", flush=True)
