"""Exact errors: the covariance of the labels, carried from generation to generation."""

from collections.abc import Iterator, Sequence

import numpy as np

from toedit.errors import UserError
from toedit.theory.closed_forms import accumulated
from toedit.theory.procedure import Schedule, require_size

WITHOUT = ("residual", "original")
"""Schedules that have no recursion here."""


def directions(rows: int, features: int, rng: np.random.Generator) -> np.ndarray:
    """``U = X (X'X)^(-1/2)`` of a Gaussian ``X``, float64 ``[T, d]``: orthonormal columns."""
    require_size(rows, features)
    left, _, right = np.linalg.svd(rng.standard_normal((rows, features)), full_matrices=False)
    return left @ right


def exact(u: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Error by generation for any masks that do not depend on labels, given the directions.

    With ``z_n = y_n - X w*``: ``z_{n+1} = A z_n + M E`` with ``A = 1 - M Q``, ``Q = 1 - U U'``, so
    its covariance goes ``C -> A C A' + M``. For Gaussian X the mean over ``U`` of ``tr(U'CU) / d``
    is the test error. Time O(n T^2 d), memory O(T^2).

    Args:
        u: ``[T, d]``, from :func:`directions`.
        masks: bool ``[edits, T]``.

    Returns:
        float64 ``[edits + 1]``.
    """
    rows, features = u.shape
    covariance = np.eye(rows)
    errors = [1.0]
    for mask in masks:
        edited = np.flatnonzero(mask)
        # Rows that are edited become P C, then columns C P, and fresh noise joins the diagonal.
        covariance[edited] = u[edited] @ (u.T @ covariance)
        covariance[:, edited] = (covariance @ u) @ u[edited].T
        covariance[edited, edited] += 1.0
        errors.append(float(np.sum((covariance @ u) * u)) / features)
    return np.array(errors)


def exact_random(u: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """Error by generation, mean over independent random masks, given the directions. O(n T^2).

    ``R -> R + f + f(1-f) sum_i P_ii k_i / d`` where ``k`` is the diagonal of ``Q C Q``, which goes
    ``k -> (1-f)^2 k + f(1-f) (Q o Q) k + f diag Q``.

    Args:
        u: ``[T, d]``.
        fractions: probability of each row to be edited, an edit each.

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
    """Error by generation as d/T -> 0, for masks that do not depend on labels.

    Rows with the same history are one class of weight ``w``; ``c_k`` is their part of ``U'z``. An
    edit sets ``c_k -> w_k sum(c) + noise of variance w_k`` in the edited classes, and the error is
    the variance of ``sum(c)``. Finite T differs by O(d/T).

    Args:
        masks: bool ``[edits, rows]``; rows are a sample of histories, equally weighed.
        original: rows that are not edited take their first label, not their last.

    Returns:
        float64 ``[edits + 1]``.
    """
    histories, counts = np.unique(np.asarray(masks, bool).T, axis=0, return_counts=True)
    weights = counts / counts.sum()
    size = len(weights)
    start = np.concatenate([np.eye(size), np.zeros((size, 0))], axis=1)
    parts = start.copy()  # of each class in independent noises of variance: weights, then fresh
    noises = weights.copy()
    errors = [1.0]
    for edit in range(histories.shape[1]):
        edited = np.flatnonzero(histories[:, edit])
        whole = parts.sum(axis=0)
        fresh = np.zeros((size, len(edited)))
        fresh[edited, np.arange(len(edited))] = 1.0
        if original:
            parts = np.pad(start, ((0, 0), (0, parts.shape[1] - size)))
        parts = parts.copy()
        parts[edited] = weights[edited, None] * whole
        parts = np.concatenate([parts, fresh], axis=1)
        noises = np.concatenate([noises, weights[edited]])
        errors.append(float(noises @ parts.sum(axis=0) ** 2))
    return np.array(errors)


def expected(
    rows: int, features: int, schedule: Schedule, generations: int, draws: int = 8, seed: int = 0
) -> np.ndarray:
    """Error by generation where masks do not depend on labels, float64 ``[draws, n]``.

    Exact but for the mean over directions, which vary little: ``draws`` of them.

    Raises:
        UserError: T < d + 2, or a schedule that has no such form.
    """
    if schedule.kind in WITHOUT:
        raise UserError(f"schedule {schedule.kind!r} has no recursion here: simulate it")
    if schedule.kind == "accumulate":
        return np.broadcast_to(accumulated(generations), (draws, generations)).copy()
    return np.array(list(_expected(rows, features, schedule, generations, draws, seed)))


def _expected(
    rows: int, features: int, schedule: Schedule, generations: int, draws: int, seed: int
) -> Iterator[np.ndarray]:
    rng = np.random.default_rng([seed, draws])
    for u in sampled_directions(rows, features, draws, seed):
        if schedule.kind == "random":
            yield exact_random(u, schedule.fractions(generations - 1))
        else:
            yield exact(u, schedule.masks(rows, generations - 1, rng))


def sampled_directions(rows: int, features: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """Independent :func:`directions`."""
    return (directions(rows, features, np.random.default_rng([seed, n, 1])) for n in range(draws))
