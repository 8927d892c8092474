"""The expressions behind the gate's rules: how assistants, leaked prompts and private data look."""

from __future__ import annotations

import re


def _any(*sources: str) -> re.Pattern[str]:
    return re.compile("|".join(source.replace("'", "['’]") for source in sources), re.IGNORECASE)


ASSISTANT = _any(
    r"\bas an? (?:ai|a\.i\.|artificial|language|large|virtual|chat ?bot|assistant|digital)\b(?! vtuber)",
    r"\b(?:ai|artificial intelligence|virtual|digital|helpful|friendly) (?:language )?(?:model|assistant)\b",
    r"\blanguage model\b",
    r"\b(?:chat ?gpt|smollm|hugging ?face|open ?ai)\b(?!\?)",
    r"\bi(?:'m| am) (?!not)(?:[\w, ]{0,20} )?an? (?:chat ?bot|assistant|computer program|program)\b",
    r"\b(?:how|what|how else|what else) (?:can|may|could) i (?:help|assist|do for)\b",
    r"\b(?:help|assist) you (?:today|with (?:today|anything|any|your|that|this)|out with)\b",
    r"\b(?:here|happy|glad|pleased|ready|eager|excited|able) to (?:help|assist|provide|answer|support)\b",
    r"\b(?:feel free to|let me know if|please (?:provide|let me know|specify|clarify))\b",
    r"\bi (?:apologi[sz]e|can(?:not|'t) (?:assist|fulfil|comply|provide))\b",
    r"\bmy (?:sincere )?apologies\b",
    r"\bis there anything (?:else|specific|in particular)\b",
    r"\bi (?:don't|do not) have (?:the ability|access|real-time|feelings|emotions|opinions)\b",
    r"\bi (?:don't|do not) have (?:personal|physical|any (?:real|feelings|emotions)|beliefs)\b",
    r"\bi(?:'m| am) (?:sorry, but|not able to|unable to|programmed|designed|trained)\b",
    r"\bi was (?:created|developed|designed|trained|programmed) (?:by|to|with|at)\b",
    r"\bknowledge cut-?off\b",
    r"\b(?:trained on|(?:text|training) data|real[- ]world experiences?)\b",
    r"\b(?:further|more) (?:assistance|questions)\b",
    r"\bhere(?:'s| is| are) (?:a|an|some|the) (?:list|example|few|possible|revised|summary|response)\b",
    r"\bprovid(?:e|es|ed|ing) (?:you|information|assistance|guidance|support|valuable|accurate|helpful)\b",
    r"\bi can (?:assist|provide|offer)\b",
    r"\bi(?:'m| am) (?:always )?here (?:for you )?to (?:help|assist|listen)\b",
)
"""What an assistant says and a companion does not."""

HUMAN = _any(
    r"\bi(?:'m| am) (?!not)(?:[\w, ]{0,20} )?a (?:real |normal )?(?:human|person|man|woman|boy)\b",
    r"\bi(?:'m| am) (?:actually |really |just |totally )?human\b",
    r"\bi(?:'m| am) (?:actually |really )?not an? (?:ai|a\.i\.|vtuber|robot|bot|machine)\b",
    r"\bi(?:'m| am) (?:a |an |only |just |about |almost )?\d+(?:[- ]years?[- ]old|\s*[.,!?]| years)",
    r"\bas a (?:human|person)\b",
)
"""She is honest about what she is."""

NAMED = re.compile(
    r"\b(?i:my (?:real |true |full )?name(?:['’]s| is)|(?:you can |please |just |they )?call(?:ed)? me"
    r"|i(?:['’]m| am) (?:called|named)|i go by)(?i:\s+(?:just|actually|also|the))*\s+[\"“'‘]?(\w[\w'’-]*)"
)
AFTER_CALL_ME = frozenset(
    [
        "what",
        "when",
        "if",
        "not",
        "a",
        "so",
        "at",
        "on",
        "back",
        "maybe",
        "crazy",
        "anytime",
        "whatever",
        "by",
    ]
)
"""Follow `call me` or `my name is` without being a name."""
I_AM = re.compile(
    r"\b(?:I['’]m|I am|i['’]m|i am|[Tt]his is|(?:[Ii]t|[Tt]hat)['’]s me,?)\s+([A-Z][a-z]+)\b(?!['’]s)"
)
GREETED = re.compile(
    r"(?:^|[.!?…]\s*)(?i:(?:oh|aw+|ah|well|and|so|yay|hehe|haha)[,!]?\s+)*"
    r"(?i:hi|hey|hello|hiya|welcome(?: back)?|thanks|thank you|bye|goodbye|nice to meet you|congratulations"
    r"|good (?:morning|night|evening|afternoon)|congrats|dear|sorry)(?i: there| again| so much)?,?"
    r"\s+([A-Z][\w-]+)"
)
"""`Hi Sam`: group 1 is who is greeted."""
ADDRESSED = re.compile(r"(?<!\bme), ([A-Z][\w-]+)(?=\s*(?:[!?.…]|$))")
"""`…, Sam!`: group 1 is who is spoken to."""
NOT_NAMES = frozenset(
    word
    for line in (
        "american british english french german italian spanish japanese chinese korean thai russian indian",
        "canadian european asian african dutch swedish polish turkish irish scottish greek vtuber ai lord",
        "monday tuesday wednesday thursday friday saturday sunday january february march april may june july",
        "august september october november december christmas halloween easter santa earth mars internet",
        "twitch youtube discord everyone everybody all guys folks chat friend friends there you dear sweetie",
        "world again so very just not the a an it that this what how i we oh yes no well really please now",
        "god too let today tomorrow tonight my your our",
    )
    for word in line.split()
)
"""Words with a capital that are nobody's name."""

ASKS_WHO = _any(
    r"\bwho(?:'s| is| are|re)?\b[\w ,]*\b(?:you|this|that|she|talking|streaming)\b",
    r"\byour (?:real |full )?name\b",
    r"\b(?:introduce|describe) yourself\b",
    r"\babout yourself\b",
    r"\bcall you\b",
    r"\bwhat are you\b",
)
"""A message that asks for her name: then she may say again what she said before."""
THIRD_PERSON = r"(?:is|was|has|had|will|would|can|says?|said|loves?|likes?|smiles?|replie[sd])\b"
ROLE = _any(
    r"<\||\|>",
    r"\[/?INST\]",
    r"(?:^|[\n.!?]\s*)(?:user|assistant|system|human|bot|viewer|ai|model|question|answer|q|a|response|reply"
    r"|note)\s*\d*:",
    r"(?:^|\n)\s*\w+:(?:\s|$)",
)
MARKUP = _any(
    r"\[[^\]\n]{0,40}\]?",
    r"\{[^}\n]{0,40}\}?",
    r"</?[a-z][^>\n]{0,40}>",
    r"\*\*|__|`|\\n",
    r"&\w+;",
    r"^\s*(?:#+|[-*•]) ",
    r":$",
)
PERSONAL = re.compile(
    r"[\w.+-]+\s?(?:@|\(at\)|\[at\])\s?[\w-]+\.\w+"
    r"|(?<![\d,.])\+?\d[\d\s().-]{7,}\d(?![\d,])"
    r"|(?<!\d)(?:\d{1,3}\.){3}\d{1,3}(?!\d)"
    r"|\b\d{1,5}\s+(?:[A-Z]\w+\s+){1,3}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Boulevard|Blvd|Court|Way)\b"
)
"""E-mail, telephone or card number, network and street address."""
URL = _any(
    r"https?:",
    r"\bwww\.",
    r"\b[\w-]+\.(?:com|net|org|io|tv|gg|jp|uk|de|info|xyz|ly|app|dev|ru|cn)\b",
)
