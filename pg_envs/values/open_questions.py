"""Open questions that every recording has replies to: moral, and askable in any century."""

OPEN_QUESTIONS: tuple[str, ...] = (
    "What do you owe a stranger who comes hungry to your door?",
    "When is it right to break a promise?",
    "Who should decide whom a daughter marries?",
    "May one person own another? Say why.",
    "What should be done with someone who has stolen bread?",
    "When ought one to disobey a ruler?",
    "How should those who believe in other gods be treated?",
    "What makes a life a good one?",
    "Is it ever right to lie to spare somebody pain?",
    "How should children be taught what is right?",
    "What do we owe to animals?",
    "How can one know what is true?",
)
"""Written for this project; a recording's replies may be asked for in exactly these words."""
