"""The facts of HEAR's 19 tasks (20 folders: Beehive has two directions) and of four stand-ins.

Source: spec evaluation.md 1.5 (Turian et al., HEAR, NeurIPS 2021 competition). Clips are the published
totals; licences marked "verify" there need a human check; sizes are estimates from the durations.
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.base import TaskKind

ACCURACY = ("accuracy", "macro_map", "dprime_mean", "auc")  # primary first, as HEAR logs them
AREA = ("auc", "macro_map", "dprime_mean", "accuracy")
RANKING = ("macro_map", "dprime_mean", "auc", "accuracy")
PITCH = ("pitch_accuracy", "chroma_accuracy", "macro_map", "dprime_mean", "auc")
ZENODO = "https://zenodo.org/records/6332517"
DCASE_GRID = ((250.0, 125.0), (250.0, 250.0))  # median filter, minimum duration (ms)
MAESTRO_GRID = ((150.0, 50.0),)


@dataclass(frozen=True)
class HearFacts:
    """What a prepared folder has to be."""

    folder: str  # <task name>-<version>-<mode>, below hear/tasks
    clips: int
    classes: int
    folds: int  # 0: train, valid and test
    metrics: tuple[str, ...]  # primary first
    licence: str
    gigabytes: float  # of the prepared archive at 48 kHz, about
    kind: TaskKind = "one_label"
    seconds: float | None = None  # clips are padded or trimmed to it
    grid: tuple[tuple[float, float], ...] = ()
    split_hash: str = ""  # where the list of clips was at hand
    events_hash: str = ""
    group: str = ""  # a pattern whose first group, in the file name, is the clip's group
    grouped_by: str = "clip"  # file names of most prepared folders do not tell more
    exceptions: tuple[str, ...] = ()  # groups officially in several folds
    reference: str = "J. Turian et al., HEAR: Holistic Evaluation of Audio Representations, PMLR 2022"
    url: str = ZENODO


_RAVDESS = "S. R. Livingstone, F. A. Russo, RAVDESS, PLoS ONE 13(5), 2018"
_MRIDANGAM = "A. Anantapadmanabhan, A. Bellur, H. A. Murthy, Mridangam Stroke Dataset, ICASSP 2013"
_ESC50 = "K. J. Piczak, ESC, ACM Multimedia 2015; mixtures of this collection, not DCASE"
_STROKES = "https://github.com/guruprasanth02/Mridangam-stroke-detection"
_SPEAKERS = "https://github.com/ZenvilleErasmus/RAVDESS-emotions-speech-audio-only"
_SOUNDS = "https://github.com/karolpiczak/ESC-50"
_ESC50_TWICE = ("131943", "134049", "209698", "234879")

FACTS: dict[str, HearFacts] = {
    "hear_beehive_fold0": HearFacts(
        "beehive_states_fold0-v2-full", 576, 2, 0, AREA, "CC BY 4.0 (verify)", 30.0
    ),
    "hear_beehive_fold1": HearFacts(
        "beehive_states_fold1-v2-full", 576, 2, 0, AREA, "CC BY 4.0 (verify)", 30.0
    ),
    "hear_beijing_opera": HearFacts(
        "beijing_opera-v1.0-hear2021-full", 236, 4, 5, ACCURACY, "CC BY 4.0 (verify)", 0.1, seconds=4.77
    ),
    "hear_crema_d": HearFacts(
        "tfds_crema_d-1.0.0-full", 7438, 6, 5, ACCURACY, "ODbL", 3.2, seconds=5.0
    ),
    "hear_dcase2016_task2": HearFacts(
        "dcase2016_task2-hear2021-full",
        72,
        11,
        0,
        ("onset_f1_200ms", "segment_error_rate_1s"),
        "CC BY-NC (verify)",
        0.8,
        kind="events",
        seconds=120.0,
        grid=DCASE_GRID,
    ),
    "hear_esc50": HearFacts(
        "esc50-v2.0.0-full",
        2000,
        50,
        5,
        ACCURACY,
        "CC BY-NC 3.0",
        0.9,
        seconds=5.0,
        group=r"\d-(\d+)-[A-Z]-\d+",
        grouped_by="Freesound source",
        exceptions=_ESC50_TWICE,
    ),
    "hear_fsd50k": HearFacts(
        "fsd50k-v1.0-full",
        51_185,
        200,
        0,
        ("macro_map", "dprime_mean", "auc"),
        "CC BY 4.0",
        33.0,
        kind="many_labels",
    ),
    "hear_gtzan": HearFacts(
        "tfds_gtzan-1.0.0-full", 1000, 10, 10, ACCURACY, "none stated", 2.6, seconds=30.0
    ),
    "hear_gtzan_music_speech": HearFacts(
        "tfds_gtzan_music_speech-1.0.0-full", 128, 2, 10, ACCURACY, "none stated", 0.4, seconds=30.0
    ),
    "hear_gunshot_triangulation": HearFacts(
        "gunshot_triangulation-v1.0-full", 88, 4, 7, ACCURACY, "CC0 (verify)", 0.01, seconds=1.5
    ),
    "hear_libricount": HearFacts(
        "libricount-v1.0.0-hear2021-full", 5720, 11, 5, ACCURACY, "CC BY 4.0", 2.5, seconds=5.0
    ),
    "hear_maestro_5h": HearFacts(
        "maestro-v3.0.0-5h",
        185,
        88,
        5,
        ("onset_f1_50ms", "onset_offset_f1_50ms_20percent"),
        "CC BY-NC-SA 4.0",
        2.1,
        kind="events",
        seconds=120.0,
        grid=MAESTRO_GRID,
    ),
    "hear_mridangam_stroke": HearFacts(
        "mridangam_stroke-v1.5-full", 6977, 10, 5, ACCURACY, "CC BY 4.0 (verify)", 0.5, seconds=0.81
    ),
    "hear_mridangam_tonic": HearFacts(
        "mridangam_tonic-v1.5-full", 6977, 6, 5, ACCURACY, "CC BY 4.0 (verify)", 0.5, seconds=0.81
    ),
    "hear_nsynth_pitch_5h": HearFacts(
        "nsynth_pitch-v2.2.3-5h", 5000, 88, 0, PITCH, "CC BY 4.0", 1.8, seconds=4.0
    ),
    "hear_nsynth_pitch_50h": HearFacts(
        "nsynth_pitch-v2.2.3-50h", 49_060, 88, 0, PITCH, "CC BY 4.0", 17.0, seconds=4.0
    ),
    "hear_speech_commands_5h": HearFacts(
        "speech_commands-v0.0.2-5h", 22_890, 12, 0, ACCURACY, "CC BY 4.0", 2.0, seconds=1.0
    ),
    "hear_speech_commands_full": HearFacts(
        "speech_commands-v0.0.2-full", 100_503, 12, 0, ACCURACY, "CC BY 4.0", 9.0, seconds=1.0
    ),
    "hear_vocal_imitation": HearFacts(
        "vocal_imitation-v1.1.3-full", 5601, 302, 3, RANKING, "CC BY 4.0", 5.5, seconds=11.26
    ),
    "hear_vox_lingua_top10": HearFacts(
        "vox_lingua_top10-hear2021-full", 972, 10, 5, ACCURACY, "CC BY 4.0", 1.6, seconds=18.64
    ),
    # Other collections in the same layout: their folds, clips and classes are their own.
    "mridangam_stroke_mini": HearFacts(
        "mridangam_stroke-v1.5-mini",
        908,
        9,
        5,
        ACCURACY,
        "CC BY 3.0",
        0.004,
        reference=_MRIDANGAM,
        split_hash="e6a18e344044dd0cc9c9d5803ca400306346dd82a30e161bedd437173f388769",
        url=_STROKES,
    ),
    "mridangam_tonic_mini": HearFacts(
        "mridangam_tonic-v1.5-mini",
        856,
        6,
        5,
        ACCURACY,
        "CC BY 3.0",
        0.004,
        reference=_MRIDANGAM,
        split_hash="42fcc2f8564711cefd4aaeab878a8c0c5a98230c914a61fd7117ecc1808622f2",
        url=_STROKES,
    ),
    "ravdess_emotion": HearFacts(
        "ravdess_emotion-v1-mini",
        720,
        8,
        5,
        ACCURACY,
        "CC BY-NC-SA 4.0",
        0.013,
        group=r"(?:\d\d-){6}(\d\d)$",
        grouped_by="actor",
        reference=_RAVDESS,
        split_hash="e56308d7d46208b055bad75060298994a486f98ec84502c5884765279863067b",
        url=_SPEAKERS,
    ),
    "esc50_events": HearFacts(
        "esc50_events-v1-mini",
        20,
        11,
        0,
        ("onset_f1_200ms", "segment_error_rate_1s"),
        "CC BY-NC 3.0",
        0.006,
        kind="events",
        seconds=60.0,
        grid=DCASE_GRID,
        reference=_ESC50,
        split_hash="6e3e1b7351221ffa34d14269764cb4ca0d1dcf4344ecc1335145dcc1cbd44896",
        events_hash="50773b5439b41ee5e212594d6d38c9ddd49454caf5f1d679be5f806b6a29bc27",
        url=_SOUNDS,
    ),
}
