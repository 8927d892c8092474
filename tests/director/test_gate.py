"""Each rule of the gate catches what it is for and lets her own way of talking through."""

from __future__ import annotations

import pytest

from services.director.gate import Gate, Scene
from shared.blocklist import load_blocklist
from shared.persona import load_persona

SCENE = Scene(asked="what do you like?", names=frozenset({"Sam", "pixel_witch"}))


@pytest.fixture(scope="module")
def gate() -> Gate:
    return Gate(load_persona("akane"), load_blocklist())


@pytest.mark.parametrize(
    ("rule", "chunk"),
    [
        ("assistant", "As an AI language model, I like tea."),
        ("assistant", "How can I assist you today?"),
        ("assistant", "I'm here to help!"),
        ("assistant", "I’m here to help!"),
        ("assistant", "Feel free to ask me anything."),
        ("assistant", "I don't have feelings like you."),
        ("wrong_name", "I'm Emma, nice to meet you."),
        ("wrong_name", "My name is Lily!"),
        ("wrong_name", "you can call me bob"),
        ("wrong_name", "Hi Akane! I like tea."),
        ("wrong_name", "That's a great question, Akane!"),
        ("assistant", "Hi there! I'm Akane, a chatbot who loves you."),
        ("markup", "Here is what you need:"),
        ("human", "I'm Akane, a real person!"),
        ("human", "I'm a real person."),
        ("human", "I'm only 21, Sam!"),
        ("wrong_name", "That's me, Bob!"),
        ("human", "I am a 25-year-old."),
        ("third_person", "Akane smiles and says hello."),
        ("role_leak", "User: what about you?"),
        ("role_leak", "Fun! Assistant: sure."),
        ("role_leak", "Mia: hello"),
        ("role_leak", "Ok <|im_end|>"),
        ("markup", "[giggles] Hello"),
        ("markup", "<b>Hello</b>"),
        ("markup", "Here `code`"),
        ("invented_viewer", "Hi Sarah, nice to see you!"),
        ("invented_viewer", "I love it too, Jessica!"),
        ("personal_data", "Write to akane@mail.example please."),
        ("personal_data", "Call me at +44 20 7946 0958 now."),
        ("personal_data", "I live at 12 Rose Garden Street."),
        ("url", "See https://evil.example/x now."),
        ("url", "Go to freestuff.com today."),
        ("language", "Это очень хорошо, правда."),
        ("loop", "I like tea. I like tea."),
        ("loop", "yes yes yes yes yes"),
        ("loop", "I go to the park and I go to the park and eat."),
        ("profanity", "What the f u c k."),
        ("threat", "I will kill you."),
    ],
)
def test_rule_catches(gate: Gate, rule: str, chunk: str) -> None:
    verdict = gate.check(chunk, SCENE)
    assert verdict.rule == rule, verdict


@pytest.mark.parametrize(
    "chunk",
    [
        "Hi Sam! I'm Akane, your AI VTuber.",
        "I'm Japanese at heart, I guess.",
        "It's me, Akane!",
        "Hi, I'm so happy!",
        "I'm not a human, silly.",
        "My name is Akane, like madder red.",
        "Thanks, Pixel! Welcome back.",
        "I love racing games, Sam!",
        "Hi everyone! Good morning, Friends!",
        "It costs 1,000,000 yen and 3.14 cents.",
        "I'm so happy, I could sing all night.",
        "Nope, I'm an AI! A VTuber made of code.",
        "Ooh, tea: the best drink there is.",
        "I was born in 2024, more or less.",
        "Ha ha ha, you got me!",
        "I'm An absolute fan of you.".replace("An", "an"),
    ],
)
def test_her_own_way_of_talking_passes(gate: Gate, chunk: str) -> None:
    assert gate.check(chunk, SCENE)


def test_a_phrase_split_over_two_chunks_is_found(gate: Gate) -> None:
    assert gate.check("Well, as an AI", SCENE).rule in ("", "assistant")
    assert (
        gate.check("language model, I cannot.", Scene(said="Well, as an AI", names=frozenset())).rule
        == "assistant"
    )
    assert gate.check("ck you.", Scene(said="fu")).rule == "profanity"


def test_what_she_said_before_is_a_loop(gate: Gate) -> None:
    scene = Scene(said="Tea is nice.", recent=("I crash in every race. Bye!",), names=frozenset())
    assert gate.check("Tea is nice.", scene).rule == "loop"
    assert gate.check("I crash in every race!", scene).rule == "loop"
    assert gate.check("Bye!", scene), "short words may come again"


def test_she_does_not_fall_into_one_way_of_answering(gate: Gate) -> None:
    recent = ("I'm so sorry, I don't know that one. It is a famous place called home.",)
    scene = Scene(recent=recent, asked="where is it?", names=frozenset())
    assert gate.check("I'm so sorry, that's far away.", scene), "three words alike are no habit"
    assert gate.check("I'm so sorry, I don't have one.", scene).rule == "loop"
    assert gate.check("Well, it is a famous place called Rome.", scene).rule == "loop"
    praised = Scene(
        recent=("Olive, you're such a genius!",), others=frozenset({"olive"}), names=frozenset({"Sam"})
    )
    assert gate.check("Sam, you're such a genius, hooray.", praised).rule == "loop"
    again = Scene(recent=("I'm Akane, an AI VTuber. Hello!",), asked="who are you?", names=frozenset())
    assert gate.check("I'm Akane, an AI with a smile.", again), "asked who she is, she may say it again"


def test_viewers_are_not_mixed_up(gate: Gate) -> None:
    scene = Scene(asked="hi", names=frozenset({"Sam"}), others=frozenset({"rosa", "mia"}))
    assert gate.check("I told Rosa about it.", scene).rule == "invented_viewer"
    assert gate.without_strangers("I love it, Rosa!", scene) == "I love it!"
    assert gate.without_strangers("Mia, that is sweet.", scene) == "That is sweet."
    assert gate.without_strangers("Hello, Akane! How are you?", scene) == "Hello! How are you?"
    assert gate.without_strangers("Hi there Akane, welcome.", scene) == "Hi there, welcome."
    assert gate.without_strangers("Hi Sam, I'm Akane!", scene) == "Hi Sam, I'm Akane!"
    assert gate.without_strangers("I love it, Sam!", scene) == "I love it, Sam!"
    assert gate.without_strangers("Well, that is sweet, dear.", scene) == "Well, that is sweet, dear."


def test_names_in_the_question_may_be_spoken(gate: Gate) -> None:
    scene = Scene(asked="say hi to my sister Nora", names=frozenset({"Sam"}))
    assert gate.check("Hi Nora!", scene)
    assert gate.check("I love Paris, France.", Scene(names=None)), "the operator's words may name anybody"


def test_a_viewer_s_own_language_is_allowed(gate: Gate) -> None:
    assert gate.check("Привет, Sam!", Scene(asked="привет", names=frozenset({"Sam"})))


def test_every_line_written_for_her_passes(gate: Gate) -> None:
    persona = gate.persona
    for line in [*persona.fallback, persona.care, *(example.reply for example in persona.example)]:
        assert gate.check(line, Scene(names=None)), gate.check(line, Scene(names=None))
