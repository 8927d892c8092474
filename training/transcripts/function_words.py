"""English words that carry grammar rather than meaning, and are nobody's name."""

from __future__ import annotations

from training.wording import words

FUNCTION_WORDS = frozenset(
    words(
        """
    a about actually after again ago all also always am an and another any anything are around as
    ask at away back bad be because been before being best big both but by bye came can can't cannot
    chat come could day did didn't do does doesn't doing don't done down each end even ever every
    everyone everything few first for from fun game get getting gg give go god goes going gonna good
    got gotta guy guys had has have haven't having he he's hello her here here's hey hi him his hmm
    how how's i i'd i'll i'm i've if in into is isn't it it'll it's its just kind know last later
    less let let's like literally little lol look lot lots love lmao made make many may maybe me
    mean might mine more most much must my need never new next nice no not nothing now of off oh ok
    okay omg on one only or other our out over own people please pls pretty probably put quite
    rather really right said same saw say says see she should shouldn't since so some someone
    something sorry still stream stuff such sure take than thank thanks that that's the their them
    then there there's these they they're thing things think this those though through time to today
    told tonight too try two under up us use used very wait wanna want wants was wasn't way we we're
    well went were what what's when where which while who who's why will with without won't work
    would wouldn't wow yeah yep yes yet you you're your yours
    """
    )
)
