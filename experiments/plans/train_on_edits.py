"""Train models on source and on edited text, and compare them with their base.

corpus ── score ──┬── edit (the preset trained on) ── train edited ── evaluate edited
    │             ├── edit (further presets: statistics only)
    │             ├── random edits ── train random_edit ── evaluate
    │             └── edit none ── identical to the corpus (no_edit)
    ├── train source ── evaluate source
    ├── train label_smoothing (the source, smoothed where the rule applies) ── evaluate
    └── evaluate base
"""

from experiments.config import LABEL_SMOOTHING, NO_EDIT, RANDOM_EDIT, REDRAWN, Config, TrainConfig
from experiments.plans.pretrain import seeds
from experiments.stage import Stage, identity
from experiments.stages import corpus, edit, evaluate, identical, score, train
from toedit.errors import UserError
from toedit.rules import PRESETS, EditRule, preset

TRAINED = "trained"
"""Name of the edit stage whose text is trained on, if its rule is no preset."""


def plan(config: Config) -> list[Stage]:
    """Stages for the arms base, source and edited, and for the controls, of every seed."""
    require_trainable(config)
    text = corpus.stage(config.corpus, config.eval)
    scores = score.stage(text, config.prior, config.score, config.engine)
    stages = [text, scores]
    extra = corpus.stage(config.mix.corpus, config.eval, "extra") if config.mix.share else None
    stages += [extra] if extra is not None else []
    if NO_EDIT in config.controls:
        same = edit.stage(scores, NO_EDIT, EditRule(sampler="none"), config.seed, config.engine)
        stages += [same, identical.stage(text, same)]
    stages.append(evaluate.stage(text, "base", config.eval, config.model, None))
    for seed in seeds(config):
        ending = seeded_name(config, "", seed)
        stages += arm_stages(config, config.train, text, scores, text, seed, ending, extra)
    return stages


def seeded_name(config: Config, name: str, seed: int) -> str:
    """Name of a stage, with its seed if the experiment has several."""
    return f"{name}-seed{seed}" if config.seeds else name


def arm_stages(
    config: Config, train_config: TrainConfig, text: Stage, scores: Stage, heldout: Stage,
    seed: int, ending: str, extra: Stage | None = None, start: Stage | None = None,
) -> list[Stage]:  # fmt: skip
    """Edits, trainings and evaluations of the arms of a seed.

    Args:
        text: the source.
        heldout: stage with the held-out text.
        ending: last part of the names of the stages.
        extra: a second text.
        start: a training from random weights whose model is trained further.
    """
    texts = edited_texts(config, scores, seed, ending)
    learned = {"source": text, "edited": texts[0], LABEL_SMOOTHING: text}
    if RANDOM_EDIT in config.controls:
        learned[RANDOM_EDIT] = texts[-1]
    stages = [*texts]
    for arm in (*config.arms, *(name for name in config.controls if name != NO_EDIT)):
        smoothing = texts[0] if arm == LABEL_SMOOTHING else None
        model = train.stage(
            learned[arm], arm + ending, config.model, train_config, seed, config.launch, smoothing,
            extra, config.mix.share, arm, start=start,
        )  # fmt: skip
        stages.append(model)
        stages.append(evaluate.stage(heldout, arm + ending, config.eval, config.model, model))
    return stages


def edited_texts(config: Config, scores: Stage, seed: int, ending: str) -> list[Stage]:
    """Edits of a seed: the one that is trained on, other presets, and last the random control."""
    trained = rule_name(config)

    def edited(name: str, rule: EditRule, control: str | None = None) -> Stage:
        return edit.stage(
            scores, name + ending, rule, seed, config.engine, control=control, arm=name
        )

    texts = [edited(trained, config.edit)]
    texts += [edited(name, preset(name)) for name in config.presets if name != trained]
    if RANDOM_EDIT in config.controls:
        texts.append(edited(RANDOM_EDIT, config.edit, "random"))
    return texts


def require_trainable(config: Config) -> None:
    """Refuse settings that plans which continue a trained model cannot carry out."""
    if REDRAWN in config.controls:
        raise UserError("controls: redrawn is for text from scratch, plan=pretrain_toedit")
    if config.train.keep_tokens:
        raise UserError(
            f"plan={config.plan} evaluates models at the end only: no train.keep_tokens"
        )
    if config.model.scratch is not None:
        raise UserError(
            f"plan={config.plan} continues a trained model: for one from random weights "
            "plan=pretrain_toedit, for one that learns a further text plan=continue_scratch"
        )
    if LABEL_SMOOTHING in config.controls and config.train.document_masks:
        raise UserError("controls: label_smoothing learns without train.document_masks")
    if config.model.template is None:
        return
    for name, text in (("corpus", config.corpus), ("mix.corpus", config.mix.corpus)):
        if not text.conversations and (name == "corpus" or config.mix.share):
            raise UserError(
                f"model.template={config.model.template} learns conversations, but {name} holds "
                f"plain text: set {name}.messages_column or {name}.prompt_column, or "
                "model.template=null"
            )
    if LABEL_SMOOTHING in config.controls:
        raise UserError("controls: label_smoothing is for plain text, not for conversations")
    if config.train.document_masks:
        raise UserError("train.document_masks is for plain text: records never see each other")


def rule_name(config: Config) -> str:
    """The preset that the trained rule equals, or :data:`TRAINED`."""
    rule = identity(config.edit)
    return next((name for name, other in PRESETS.items() if identity(other) == rule), TRAINED)
