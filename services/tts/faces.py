"""Faces made of signs: smileys, kaomoji, emotes. They are shown and never read."""

from __future__ import annotations

import re

_MOUTHS = r"_.,ωo﹏益‿▽-"
_EYES = r"\^>TxXoOuUಠಥ◉⊙●≧≦・;QqvV@=*"
_WESTERN = re.compile(
    r"(?<![\d:;=8])[:;=]['^oc-]?[)(\]\[DPpOo3/\\|*$]+(?![A-Za-z0-9])"
    r"|(?<!\S)(?:[xX][-^]?[D)(]+|D[-']?[:;=]|\\[oO]/?|[oO]/|\^\^+)(?![A-Za-z0-9])"
    r"|(?<![\d<])(?:</?3+)+(?![A-Za-z0-9])"
)
"""":-)", "XD", "D:", "<3<3"."""
_EASTERN = re.compile(rf"(?<!\S)[{_EYES}][{_MOUTHS}]+[{_EYES}<];?(?![A-Za-z0-9])")
""" "^_^", ">_<", "ಠ_ಠ": two eyes and a mouth."""
_ARMS_BEFORE = r"[Σヽヾ\\┐└┬─ლつづっノﾉ乁╰╭♪☆*✧<>٩凸ᕦᕙԅ¯‾_/ง〜~﹏ʅ]"
_ARMS_BEHIND = r"[ノﾉヾヽ\\/_¯‾づつっシゞ┐┌└┘ლง۶و╯︵彡☆♡♪✧*:･ﾟ~〜┻━┴─ʃᕗᕤﾉ]"
_FACE = re.compile(
    rf"(?:(?<![A-Za-z])[mob])?{_ARMS_BEFORE}{{0,6}}"
    rf"[(（༼](?P<inner>[^()（）༼༽\n]{{1,24}})[)）༽]"
    rf"{_ARMS_BEHIND}{{0,10}}(?:[mobd](?![A-Za-z]))?(?:\s[┻━┴─]+)?"
)
"""Parentheses with what may be arms; `_is_face` judges what is between."""
_BEAR = re.compile(r"ʕ[^ʕʔ\n]{1,10}ʔ[っノﾉ]*|[┻┬][━─]+[┻┬]|︵")
_EMOTE = re.compile(r"(?<![\w:])(?::[A-Za-z_][\w+-]{0,40}:)+(?!\w)")
"""":wave:" as chats write emotes."""
_PLAIN = re.compile(r"[\s\w.,!?:'\"“”‘’%&+=/@#$£€¥₹₩°…—–、。！？，．：「」『』-]", re.ASCII)
"""Signs that stand in parentheses for other reasons than a face."""
_FACE_LETTERS = re.compile(r"(?:[OoUuTtxXQv0>][wvo_.]?[OoUuTtxXQv0<])|[ツシ]")
_WORD = re.compile(r"[^\W\d_]{2,}|\d")


def blank_faces(text: str, gap: str) -> str:
    """`text` with every character of a face replaced by `gap`."""
    text = _EMOTE.sub(lambda emote: gap * len(emote[0]), text)
    text = _FACE.sub(lambda face: gap * len(face[0]) if _is_face(face["inner"]) else face[0], text)
    for faces in (_BEAR, _WESTERN, _EASTERN):
        text = faces.sub(lambda face: gap * len(face[0]), text)
    return text


def _is_face(inner: str) -> bool:
    """Letters one by one at most, and a sign that no sentence puts there; or no letter at all."""
    inner = inner.strip()
    if _FACE_LETTERS.fullmatch(inner):
        return True
    if _WORD.search(inner):
        return False
    odd = [sign for sign in inner if not _PLAIN.match(sign) and not sign.isalnum()]
    return len(odd) > 1 or not "".join(odd).isascii() or not any(sign.isalnum() for sign in inner)
