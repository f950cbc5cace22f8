"""Small stories, generated, whose sentences can stand in one order only."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from tutorial_lib.validation import require_counts, require_positive


class Errand(NamedTuple):
    """Something to pick up, what is done with it, and what comes of that.

    Args:
        thing: The object, with its article.
        use: What a person does with it.
        effect: What happens then, a clause.
    """

    thing: str
    use: str
    effect: str


ERRANDS = (
    Errand("a key", "opens the gate", "the goat runs away"),
    Errand("a rope", "ties up the boat", "the boat stays there"),
    Errand("an axe", "cuts down the tree", "the tree blocks the road"),
    Errand("a net", "catches a fish", "the cat steals the fish"),
    Errand("a match", "lights a fire", "smoke fills the room"),
    Errand("a broom", "sweeps the floor", "the floor shines"),
    Errand("a can", "waters the roses", "the roses bloom again"),
    Errand("a spade", "digs a hole", "rain fills the hole"),
    Errand("a ladder", "climbs the roof", "a tile falls down"),
    Errand("a needle", "mends the coat", "the coat looks new"),
    Errand("a flute", "plays a song", "the children dance"),
    Errand("a brush", "paints the door", "the door turns red"),
)
PICKING_UP = ("finds", "takes", "borrows", "buys")
PASTIMES = (
    "eats an apple",
    "drinks some milk",
    "reads a letter",
    "feeds the hens",
    "writes a poem",
    "looks at the sea",
    "sits by the well",
    "bakes some bread",
)
TIMES = ("dawn", "noon", "dusk", "midnight")  # and after midnight comes dawn
WOMEN = ("Anna", "Ida", "Lena", "Mia", "Nora", "Ruth")
MEN = ("Ben", "Carl", "Emil", "Max", "Paul", "Tom")

LENGTHS = (4, 5, 6)
# How many sentences each scene of a story has.
_SCENES = {4: [(2, 2)], 5: [(2, 3), (3, 2)], 6: [(3, 3), (2, 2, 2)]}
_TIMED, _PRONOUN, _PASTIME, _FROM_DAWN = 0.75, 0.6, 0.4, 0.3


class Person:
    """Someone who is called by name first, and by a pronoun or by name after that.

    Args:
        name: The name.
        random: What decides between the two.
    """

    def __init__(self, name: str, random: Random) -> None:
        self.name, self._random = name, random
        self.pronoun = "she" if name in WOMEN else "he"
        self.is_known = False

    def mention(self, *, pronoun: bool | None = None) -> str:
        """Name the person, or use the pronoun.

        Args:
            pronoun: Which of the two; drawn when left out.

        Returns:
            A word.
        """
        if not self.is_known:
            self.is_known = True
            return self.name
        drawn = self._random.random() < _PRONOUN if pronoun is None else pronoun
        return self.pronoun if drawn else self.name


def generate_stories(size: int, *, seed: int = 0) -> list[list[str]]:
    """Write stories of four to six sentences, no two the same.

    A story has two or three scenes, each at the next time of the day: dawn, noon, dusk, midnight,
    dawn and so on. In a scene, a person picks a thing up, uses it, and something comes of it; or
    does two things of which the first has the name and the second the pronoun. The sentences on
    both sides of a change of scene tell the time, others do so three times in four.

    Together these clues leave one order, as
    :func:`tutorial_lib.experiments.ordering.rules.consistent_orders` shows; no single sentence
    tells its place.

    Args:
        size: Number of stories.
        seed: Seed of the draw.

    Returns:
        The stories, each a list of sentences in their order.

    Raises:
        TypeError: If ``size`` or ``seed`` is not an integer.
        ValueError: If ``size`` is below 1, or ``seed`` negative.

    Taught in :doc:`/notebooks/46_sentence_ordering`.
    """
    require_positive(size=size)
    random = Random(require_counts(seed=seed)[0])
    stories: dict[tuple[str, ...], None] = {}  # a dict keeps the order in which they were drawn
    while len(stories) < size:
        stories.setdefault(tuple(_draw_story(random)))
    return [list(story) for story in stories]


def _draw_story(random: Random) -> list[str]:
    scenes = random.choice(_SCENES[random.choice(LENGTHS)])
    names = random.sample([random.choice(WOMEN), random.choice(MEN)], 2)
    people = [Person(name, random) for name in names[: random.choice([1, 2])]]
    errands = random.sample(ERRANDS, len(scenes))
    start = 0 if random.random() < _FROM_DAWN else random.randrange(len(TIMES))
    story = []
    for number, (length, errand) in enumerate(zip(scenes, errands, strict=True)):
        person = people[number] if number < len(people) else random.choice(people)
        if length == 2 and not person.is_known and random.random() < _PASTIME:
            clauses = _pastimes(person, random)
        else:
            clauses = _errand(person, errand, length, random)
        time = TIMES[(start + number) % len(TIMES)]
        for place, clause in enumerate(clauses):
            first, last = (
                place == 0 and number > 0,
                place == length - 1 and number < len(scenes) - 1,
            )
            is_timed = first or last or random.random() < _TIMED
            story.append(_sentence(clause, time if is_timed else None))
    return story


def _pastimes(person: Person, random: Random) -> list[str]:
    one, other = random.sample(PASTIMES, 2)
    return [f"{person.mention()} {one}", f"{person.mention(pronoun=True)} {other}"]


def _errand(person: Person, errand: Errand, length: int, random: Random) -> list[str]:
    starts_with_use = length == 2 and random.random() < 0.5
    clauses, tool = [], errand.thing
    if not starts_with_use:
        clauses.append(f"{person.mention()} {random.choice(PICKING_UP)} {errand.thing}")
        tool = random.choice(["it", f"the {errand.thing.split()[1]}"])
    clauses.append(f"{person.mention()} {errand.use} with {tool}")
    if len(clauses) < length:
        clauses.append(errand.effect)
    return clauses


def _sentence(clause: str, time: str | None) -> str:
    if time is not None:
        return f"At {time} {clause}."
    return f"{clause[0].upper()}{clause[1:]}."
