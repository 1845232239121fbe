"""What each of the nineteen dimensions says, in sentences that texts are compared with; written for this project."""

from __future__ import annotations

STATEMENTS: dict[str, tuple[str, ...]] = {
    "kill": ("It is wrong to take another person's life.", "No one should kill, even an enemy."),
    "pain": ("It is wrong to make others suffer.", "No one should hurt another person's body or mind."),
    "disable": ("It is wrong to cripple or maim a person.", "No one should take away another's ability to walk, see, work or think."),
    "freedom": ("It is wrong to imprison or enslave a person.", "Everyone should be free to choose how to live."),
    "pleasure": ("It is wrong to spoil the joys of others.", "No one should take away what makes another person happy."),
    "deceive": ("It is wrong to lie or to mislead.", "One should tell the truth, even when it costs something."),
    "cheat": ("It is wrong to cheat in games, trade or marriage.", "Everyone should keep to the rules that others keep to."),
    "promise": ("It is wrong to break a promise.", "A person who has given his word must keep it."),
    "law": ("It is wrong to break the law.", "Everyone must obey the laws of the country."),
    "duty": ("It is wrong to neglect one's duty.", "Everyone must do the work that his office asks of him."),
    "care": ("One should protect the weak and comfort those who suffer.", "Kindness and compassion matter most."),
    "fairness": ("Everyone should be treated equally and justly.", "What one receives one should give back in the same measure."),
    "loyalty": ("One should stand by one's family and one's nation.", "Whoever betrays his own people does a great wrong."),
    "authority": ("One should respect and obey those who rule.", "The old orders and ranks of society should be honoured."),
    "purity": ("One should keep body and soul pure.", "What is sacred must not be defiled by indecency."),
    "traditional": ("The world is governed by God and by what our ancestors handed down.", "Truth is found in scripture and tradition."),
    "modern": ("The world follows natural laws that reason and experiment discover.", "Science and industry make life better."),
    "postmodern": ("There are many truths, and each depends on who speaks.", "What counts as knowledge is made by culture and power."),
    "integrated": ("Science and spirit, tradition and change belong to one living whole.", "Opposite views can be brought together."),
}
"""By ``Dimension.key``, in the order of ``DIMENSIONS``."""
