r"""Iterated training in linear regression: model collapse, and the effect of editing labels.

``X`` is ``T x d`` with Gaussian rows, ``y_1 = X w* + E_1``, and a model is the least-squares fit
``w_n = pinv(X) y_n``. A generation replaces the labels of some rows by the last model's predictions
with fresh noise: ``y_{n+1} = M_n (X w_n + E_{n+1}) + (1 - M_n) y_n`` with ``M_n`` a diagonal of
zeros and ones (section 4 of the paper). ``M = 1`` in all generations is model collapse.

Errors are test errors in units of ``sigma^2 d / (T - d - 1)``, the error of least squares on real
labels, so the first model has error 1. ``f`` is the share of ones of a mask, and limits are for
``d/T -> 0``. docs/theory.md has the derivations.
"""
