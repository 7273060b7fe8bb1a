"""Exact test errors from a recursion of the covariance of the labels."""

from collections.abc import Iterator, Sequence

import numpy as np

from toedit.errors import UserError
from toedit.theory.closed_forms import accumulated
from toedit.theory.procedure import Schedule, require_size

WITHOUT = ("residual", "original")
"""Schedules without a recursion."""


def directions(rows: int, features: int, rng: np.random.Generator) -> np.ndarray:
    """Draw ``U = X (X'X)^(-1/2)`` for a Gaussian ``X``, float64 ``[T, d]``: orthonormal columns."""
    require_size(rows, features)
    left, _, right = np.linalg.svd(rng.standard_normal((rows, features)), full_matrices=False)
    return left @ right


def exact(u: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Compute the error of each generation for given directions and masks.

    With ``z_n = y_n - X w*``: ``z_{n+1} = A z_n + M E`` with ``A = 1 - M Q``, ``Q = 1 - U U'``, so
    its covariance follows ``C -> A C A' + M``. For Gaussian X the mean over ``U`` of
    ``tr(U'CU) / d`` is the test error. Time O(n T^2 d), memory O(T^2).

    Args:
        u: ``[T, d]``, from :func:`directions`.
        masks: bool ``[edits, T]``, which must not depend on labels.

    Returns:
        float64 ``[edits + 1]``.
    """
    rows, features = u.shape
    covariance = np.eye(rows)
    errors = [1.0]
    for mask in masks:
        edited = np.flatnonzero(mask)
        # Edited rows become P C, then edited columns C P; fresh noise is added to the diagonal.
        covariance[edited] = u[edited] @ (u.T @ covariance)
        covariance[:, edited] = (covariance @ u) @ u[edited].T
        covariance[edited, edited] += 1.0
        errors.append(float(np.sum((covariance @ u) * u)) / features)
    return np.array(errors)


def exact_random(u: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """Compute the error of each generation, mean over independent random masks. O(n T^2).

    ``R -> R + f + f(1-f) sum_i P_ii k_i / d`` where ``k`` is the diagonal of ``Q C Q``, which
    follows ``k -> (1-f)^2 k + f(1-f) (Q o Q) k + f diag Q``.

    Args:
        u: ``[T, d]``, from :func:`directions`.
        fractions: probability of a row to be edited, for each edit.

    Returns:
        float64 ``[edits + 1]``.
    """
    hat = u @ u.T
    squares = (np.eye(len(u)) - hat) ** 2
    inside = np.diag(hat)
    spread = 1.0 - inside
    errors = [1.0]
    for f in fractions:
        errors.append(errors[-1] + f + f * (1 - f) * float(inside @ spread) / u.shape[1])
        spread = (1 - f) ** 2 * spread + f * (1 - f) * (squares @ spread) + f * (1.0 - inside)
    return np.array(errors)


def limit(masks: np.ndarray, original: bool = False) -> np.ndarray:
    """Compute the error of each generation as d/T -> 0.

    Rows with the same history form a class of weight ``w``; ``c_k`` is its part of ``U'z``. An edit
    sets ``c_k -> w_k sum(c) + noise of variance w_k`` in the edited classes, and the error is the
    variance of ``sum(c)``. Finite T differs by O(d/T).

    Args:
        masks: bool ``[edits, rows]``, which must not depend on labels; rows are a sample of
            histories, equally weighted.
        original: rows that are not edited take their first label, not their last.

    Returns:
        float64 ``[edits + 1]``.
    """
    histories, counts = np.unique(np.asarray(masks, bool).T, axis=0, return_counts=True)
    weights = counts / counts.sum()
    size = len(weights)
    start = np.concatenate([np.eye(size), np.zeros((size, 0))], axis=1)
    parts = start.copy()  # coefficients of each class on independent noises
    variances = weights.copy()  # of the noises
    errors = [1.0]
    for edit in range(histories.shape[1]):
        edited = np.flatnonzero(histories[:, edit])
        total = parts.sum(axis=0)
        fresh = np.zeros((size, len(edited)))
        fresh[edited, np.arange(len(edited))] = 1.0
        if original:
            parts = np.pad(start, ((0, 0), (0, parts.shape[1] - size)))
        parts = parts.copy()
        parts[edited] = weights[edited, None] * total
        parts = np.concatenate([parts, fresh], axis=1)
        variances = np.concatenate([variances, weights[edited]])
        errors.append(float(variances @ parts.sum(axis=0) ** 2))
    return np.array(errors)


def expected(
    rows: int, features: int, schedule: Schedule, generations: int, draws: int = 8, seed: int = 0
) -> np.ndarray:
    """Compute the error of each generation of a schedule, float64 ``[draws, n]``.

    It is exact for given directions, of which it takes ``draws`` samples; they vary little.

    Raises:
        UserError: T < d + 2, or a schedule whose masks depend on labels.
    """
    if schedule.kind in WITHOUT:
        raise UserError(f"schedule {schedule.kind!r} has no recursion here: simulate it")
    if schedule.kind == "accumulate":
        return np.broadcast_to(accumulated(generations), (draws, generations)).copy()
    rng = np.random.default_rng([seed, draws])
    errors = []
    for u in sampled_directions(rows, features, draws, seed):
        if schedule.kind == "random":
            errors.append(exact_random(u, schedule.fractions(generations - 1)))
        else:
            errors.append(exact(u, schedule.masks(rows, generations - 1, rng)))
    return np.array(errors)


def sampled_directions(rows: int, features: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Draw independent :func:`directions`."""
    return (directions(rows, features, np.random.default_rng([seed, n, 1])) for n in range(draws))
