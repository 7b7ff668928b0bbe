"""Which passwords may be used: OWASP ASVS 5.0, section 6.2, levels 1 and 2.

Length counts and what everybody tries first is refused; nothing else is asked, such as digits or
capitals, and every character is allowed.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable
from typing import Any

from beanft.security.passwords import MAX_CHARS, MIN_CHARS

LEAST_SCORE = 2  # of 0 to 4: withstands a million guesses
LEAST_SCORE_WITH_OWN_WORDS = 3  # a hundred million: who tries them knows whose password it is
JUDGED_CHARS = 72  # what zxcvbn is made for
# Each of these stands for a letter, and zxcvbn tries all combinations: seconds for a long text
# that was made for it. A shorter part is judged where there are many.
LOOKALIKES = frozenset("4@8({[<369!1|0$57+%2")
MANY_LOOKALIKES = 6
JUDGED_CHARS_OF_LOOKALIKES = 24
SITE_WORDS = ("beanft",)
LISTS = frozenset({"passwords", "user_inputs"})
# zxcvbn keeps the words of the present person in a global: one at a time.
_LOCK = threading.Lock()


def words_of(email: str) -> list[str]:
    """Return what of an address would be guessed first: all of it, and its parts."""
    local, _, domain = email.partition("@")
    return [email, local, domain, *(part for part in re.split(r"[^\w]+|_", email) if len(part) > 2)]


def _judge(password: str, words: Iterable[str]) -> dict[str, Any]:
    # Imported late: its lists take 15 MB, and most processes never see a new password.
    from zxcvbn import zxcvbn

    judged = password[:JUDGED_CHARS]
    if len(LOOKALIKES.intersection(judged)) > MANY_LOOKALIKES:
        judged = judged[:JUDGED_CHARS_OF_LOOKALIKES]
    with _LOCK:
        found: dict[str, Any] = zxcvbn(judged, user_inputs=[*words, *SITE_WORDS])
    return found


def problem(password: str, email: str = "") -> str | None:
    """Return what is wrong with a new password in a sentence for the person, or None.

    Args:
        password: as it was typed; nothing is cut off or changed.
        email: whose it is: the address and its parts are guessed first.

    Method: zxcvbn (Wheeler, USENIX Security 2016) estimates the guesses that an attacker needs
    who knows lists of common passwords, names and words, dates, keyboard patterns and the person.

    """
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        return f"Use {MIN_CHARS} to {MAX_CHARS} characters."
    found = _judge(password, words_of(email))
    parts = found["sequence"]
    listed = len(parts) == 1 and parts[0].get("dictionary_name") in LISTS
    own = any(part.get("dictionary_name") == "user_inputs" for part in parts)
    least = LEAST_SCORE_WITH_OWN_WORDS if own else LEAST_SCORE
    if found["score"] >= least and not listed:
        return None
    why = found["feedback"]["warning"].rstrip(".")
    if own:
        why = "It is made of your address or this site's name"
    return (
        f"This password is easy to guess. {why + '. ' if why else ''}"
        "Use another one, such as four words that have nothing to do with each other."
    )
