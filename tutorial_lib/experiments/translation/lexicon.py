"""The words of the language pair: English, and Velan, a language that exists in this book only."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

Case = Literal["nominative", "accusative", "dative"]

# The ending of a noun, and of all that agrees with it: in the singular, in the plural.
ENDINGS: dict[Case, tuple[str, str]] = {
    "nominative": ("", "i"),
    "accusative": ("a", "ia"),
    "dative": ("u", "iu"),
}


@dataclass(frozen=True)
class Noun:
    """A noun: two English forms, and in Velan a stem and a gender.

    Args:
        singular: The English singular.
        plural: The English plural.
        stem: The Velan stem.
        gender: "k", "s" or "t". The noun does not show it; its adjectives and determiners do.
    """

    singular: str
    plural: str
    stem: str
    gender: str

    def english(self, *, plural: bool) -> str:
        """Give the English form.

        Args:
            plural: Its number.

        Returns:
            The word.
        """
        return self.plural if plural else self.singular

    def velan(self, case: Case, *, plural: bool) -> str:
        """Decline the noun.

        Args:
            case: Its case.
            plural: Its number.

        Returns:
            Stem and ending.
        """
        return self.stem + ENDINGS[case][plural]


@dataclass(frozen=True)
class Modifier:
    """An adjective or a determiner: an English word, and a Velan stem.

    Args:
        english: The English word.
        stem: The Velan stem; empty where Velan says nothing.
        numbers: The numbers of the nouns that it stands with: False singular, True plural.
    """

    english: str
    stem: str
    numbers: tuple[bool, ...] = (False, True)

    def velan(self, gender: str, case: Case, *, plural: bool) -> str:
        """Let it agree with its noun.

        Args:
            gender: The noun's gender.
            case: The noun's case.
            plural: The noun's number.

        Returns:
            Stem, gender and ending; empty where Velan says nothing.
        """
        return self.stem + gender + ENDINGS[case][plural] if self.stem else ""


@dataclass(frozen=True)
class Verb:
    """A verb: three English forms, and a Velan stem.

    Args:
        base: The English present of a plural subject.
        third: The English present of a singular subject.
        past: The English past.
        stem: The Velan stem.
        objects: 0 without an object, 1 with one, 2 with an object and a recipient.
    """

    base: str
    third: str
    past: str
    stem: str
    objects: int

    def english(self, *, plural: bool, past: bool) -> str:
        """Conjugate the English verb.

        Args:
            plural: The subject's number.
            past: Whether it is past.

        Returns:
            The word.
        """
        if past:
            return self.past
        return self.base if plural else self.third

    def velan(self, *, plural: bool, past: bool) -> str:
        """Conjugate the Velan verb.

        Args:
            plural: The subject's number; unlike English, Velan shows it in the past too.
            past: Whether it is past.

        Returns:
            Stem, tense and number.
        """
        return self.stem + ("ev" if past else "o") + ("mi" if plural else "")


def _entries(text: str) -> list[list[str]]:
    return [entry.split() for entry in text.split(";")]


def _verbs(text: str, *, objects: int) -> tuple[Verb, ...]:
    return tuple(Verb(*fields, objects=objects) for fields in _entries(text))


# Singular, plural, stem, gender.
BEINGS = tuple(
    Noun(*fields)
    for fields in _entries(
        "dog dogs relap k; cat cats varuk s; bird birds vekal t; horse horses tilev k; "
        "fox foxes tadub s; wolf wolves mipug t; bear bears sulis k; mouse mice dorim s; "
        "owl owls sigob t; farmer farmers rasit k; baker bakers zitel s; king kings lopes t; "
        "queen queens lunel k; teacher teachers bomep t; sailor sailors sutin k; "
        "child children vubas k; woman women lasok s; man men pidap t; girl girls rukam k; "
        "boy boys dotir s"
    )
)
THINGS = tuple(
    Noun(*fields)
    for fields in _entries(
        "book books dozed k; letter letters dobit s; apple apples vutak t; cup cups zavel k; "
        "lamp lamps mekim s; box boxes vukoz s; key keys tuket t; coin coins todav k; "
        "stone stones kasid s; flower flowers novuz t; boat boats posip k; knife knives sogal s; "
        "picture pictures pinaz k; egg eggs nazel t"
    )
)
# Present of a plural subject, present of a singular subject, past, stem.
VERBS = (
    *_verbs(
        "sleep sleeps slept peg; laugh laughs laughed ral; dance dances danced lup; "
        "sing sings sang roz; wait waits waited pab; smile smiles smiled nem; "
        "swim swims swam rez; run runs ran rok",
        objects=0,
    ),
    *_verbs(
        "see sees saw pak; find finds found tip; follow follows followed lov; "
        "hear hears heard kab; like likes liked ves; carry carries carried nas; "
        "paint paints painted zag; hold holds held vup; know knows knew bup; "
        "help helps helped biz; watch watches watched kub; catch catches caught bep; "
        "lose loses lost dek; fear fears feared pim",
        objects=1,
    ),
    *_verbs(
        "give gives gave sor; send sends sent gil; show shows showed sup; bring brings brought lat",
        objects=2,
    ),
)
ADJECTIVES = tuple(
    Modifier(english, stem)
    for english, stem in _entries(
        "small ativ; big izum; old agol; new ogum; red oniz; green asid; blue ituv; white epim; "
        "black okal; strange ubag; beautiful opuz; heavy akem; ugly ivog; round amob"
    )
)
DETERMINERS = (
    Modifier("the", "ve"),
    Modifier("a", "", (False,)),
    Modifier("an", "", (False,)),
    Modifier("this", "ti", (False,)),
    Modifier("these", "ti", (True,)),
    Modifier("every", "om", (False,)),
    Modifier("some", "lu", (True,)),
)
CONJUNCTIONS = {"because": "dur", "when": "pel", "but": "sen"}
RELATIVE = {"that": "sho"}
RECIPIENT = "to"  # Velan says it with the dative


def velan_stems() -> dict[str, str]:
    """List every form of every Velan word with its stem, which is what no ending changes.

    Returns:
        The stem of each form; a word without endings is its own.

    Used in :doc:`/notebooks/43_translation`.
    """
    plurals = (False, True)
    bent = {
        noun.velan(case, plural=plural): noun.stem
        for noun, case, plural in product((*BEINGS, *THINGS), ENDINGS, plurals)
    }
    bent |= {
        word.velan(gender, case, plural=plural): word.stem
        for word, gender, case, plural in product(
            (*ADJECTIVES, *DETERMINERS), "kst", ENDINGS, plurals
        )
        if word.stem
    }
    bent |= {
        verb.velan(plural=plural, past=past): verb.stem
        for verb, plural, past in product(VERBS, plurals, plurals)
    }
    return bent | {word: word for word in (*CONJUNCTIONS.values(), *RELATIVE.values())}
