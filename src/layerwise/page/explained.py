"""What the page adds to the words of claims, which were registered and stay as they were; a glossary."""

from layerwise.page.text import symbols

# In other words: what a claim's statement says, read without those above it.
IN_OTHER_WORDS = {
    "C3 DFW": "DFW, which whitens the gradient of the features by their inputs, takes iterations that "
    "hardly depend on κ_x.",
    "R10 Adam": "Adam’s test error rises with κ_x, by more than KFAC’s, where Σ_x is rotated.",
    "R10 BN + Adam": "With batch-norm and Adam the test error rises with κ_x, by more than KFAC’s, where "
    "Σ_x is rotated.",
    "R10 momentum": "With momentum the test error rises with κ_x, by more than KFAC’s, where Σ_x is "
    "rotated.",
    "R10 axes": "Where Σ_x lies along the axes, Adam’s test error hardly depends on κ_x.",
    "R11 first layer": "Dividing by the second moment of inputs is enough for an error that hardly depends "
    "on κ_x; what KFAC’s other factor adds is there at κ_x = 1 as well.",
    "R12 samples": "As R10, trained on 512 samples instead of fresh ones: KFAC’s test error hardly depends "
    "on κ_x, Adam’s does. When its bounds were written we expected that it would not hold.",
    "R14 pixels": "When its bounds were written we expected that it would not hold.",
}
# What else to know of how a claim is decided.
DECIDED_BY = {
    "C7 generalisation": "Each network with batch-norm is compared with the same optimiser without it, "
    "where their training losses are equal. A ratio above 1 means that batch-norm hurts, below 1 that it "
    "helps. The largest ratio decides, since the paper says “may”: one case would do.",
}
# Of a word in the name of a statistic.
DEFINED = {
    "D of": "D: the median over seeds of log₁₀[(e(κ_x = 1000) + 0.001) / (e(1) + 0.001)], e the test "
    "error: by how many decades it rises with κ_x.",
    "iterations": "Iterations: until the subspace distance is 0.1 or less, interpolated between steps, so "
    "that a method whose first step arrives takes less than 1.",
}
GLOSSARY = {
    "SGD, momentum, Adam": "Stochastic gradient descent and its usual variants; β₂ says how slowly Adam "
    "forgets.",
    "KFAC": "Layer-wise preconditioning: each layer’s gradient is divided by the second moment of the "
    "layer’s inputs, Q, and by a factor of its outputs, P; “inputs only” is without P.",
    "AMGD, DFW": "At each step the head is fitted by least squares, and the features take a gradient "
    "step; DFW whitens that by the inputs’ second moment, AMGD does not.",
    "Shampoo, SOAP, Muon, spectral descent": "Optimisers of later years with two-sided steps.",
    "BN input, BN hidden": "Batch-norm on the inputs, or after the first layer.",
    "Gauss–Newton, Newton": "Second-order steps of the whole network instead of layer by layer.",
    "Σ_x, κ_x": "The inputs’ covariance and its condition number: 1 where inputs are isotropic.",
    "κ_F": "The condition number of the task: how unequally the output depends on the features.",
    "d_x, d_y, k": "How many inputs and outputs there are, and how many features matter.",
    "subspace distance": "How far the learned features are from the true ones: 0 is learnt, 1 not at "
    "all.",
    "alignment": "The cosine between the learned direction and the true one, β⋆.",
    "η, λ": "Step size and damping.",
}
PAPER = (
    "<i>On The Concurrence of Layer-wise Preconditioning Methods and Provable Feature Learning</i>, by "
    "T. T. Zhang, B. Moniri, A. Nagwekar, F. Rahman, A. Xue, H. Hassani and N. Matni, ICML 2025, "
    '<a href="https://arxiv.org/abs/2502.01763">arXiv 2502.01763</a>'
)


def in_other_words(claim: str) -> str:
    """HTML; nothing for a claim that speaks for itself."""
    words = IN_OTHER_WORDS.get(claim)
    return f'<span class="words">{symbols(words)}</span>' if words else ""


def decided_by(claim: str) -> str:
    """HTML; nothing where the statistics speak for themselves."""
    words = DECIDED_BY.get(claim)
    return f"<p>{symbols(words)}</p>" if words else ""


def definitions(quantities: list[str]) -> list[str]:
    """Of words in the names of statistics, as HTML."""
    return [
        symbols(text)
        for word, text in DEFINED.items()
        if any(word in quantity for quantity in quantities)
    ]


def glossary() -> str:
    """The page's list of words, as HTML."""
    words = "".join(
        f"<dt>{symbols(word)}</dt><dd>{symbols(text)}</dd>" for word, text in GLOSSARY.items()
    )
    return f"<dl>{words}</dl>"
