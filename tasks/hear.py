"""HEAR's tasks by name, and four other collections in its layout; the facts are in hear_facts.py.

The four have entries of their own instead of passing for partial HEAR data: their folds are not HEAR's
(and two are other corpora), so that no subset of HEAR's split is measured on them.
"""

from __future__ import annotations

from tasks.hear_layout import Hear


class HearBeehiveFold0(Hear, name="hear_beehive_fold0"):
    """576 recordings of 10 minutes, queen or none in the hive, trained on one hive, tested on
    another; AUC."""


class HearBeehiveFold1(Hear, name="hear_beehive_fold1"):
    """The hives of hear_beehive_fold0 the other way round; AUC."""


class HearBeijingOpera(Hear, name="hear_beijing_opera"):
    """236 strokes, 4 percussion instruments of Beijing opera, 5 folds; accuracy."""


class HearCremaD(Hear, name="hear_crema_d"):
    """7,438 acted sentences, 6 emotions, 5 folds that share speakers; accuracy."""


class HearDcase2016(Hear, name="hear_dcase2016_task2"):
    """72 office scenes of 2 minutes, 11 sound events with times; onset F1 within 200 ms."""


class HearESC50(Hear, name="hear_esc50"):
    """2,000 clips of 5 s, 50 environmental sounds, 5 folds; accuracy."""


class HearFSD50K(Hear, name="hear_fsd50k"):
    """51,185 Freesound clips (without the twelve over 30 s), 200 sound events; macro mAP."""


class HearGTZAN(Hear, name="hear_gtzan"):
    """1,000 excerpts of 30 s, 10 genres, 10 folds without an artist filter; accuracy."""


class HearGTZANMusicSpeech(Hear, name="hear_gtzan_music_speech"):
    """128 excerpts of 30 s, music or speech, 10 folds; accuracy."""


class HearGunshot(Hear, name="hear_gunshot_triangulation"):
    """88 shots, which of 4 microphones recorded it, 7 folds by firearm; accuracy."""


class HearLibriCount(Hear, name="hear_libricount"):
    """5,720 mixtures of 5 s, 0 to 10 speakers, 5 folds; accuracy."""


class HearMaestro(Hear, name="hear_maestro_5h"):
    """185 piano excerpts of 2 minutes, 88 pitches with times, 5 folds; onset F1 within 50 ms."""


class HearMridangamStroke(Hear, name="hear_mridangam_stroke"):
    """6,977 mridangam strokes, 10 kinds, 5 folds; accuracy."""


class HearMridangamTonic(Hear, name="hear_mridangam_tonic"):
    """6,977 mridangam strokes, 6 tonics, 5 folds; accuracy."""


class HearNSynthPitch5h(Hear, name="hear_nsynth_pitch_5h"):
    """5,000 notes of 4 s, 88 pitches, split by instrument; pitch accuracy."""


class HearNSynthPitch50h(Hear, name="hear_nsynth_pitch_50h"):
    """49,060 notes of 4 s, 88 pitches, split by instrument; pitch accuracy."""


class HearSpeechCommands5h(Hear, name="hear_speech_commands_5h"):
    """22,890 words of 1 s, 12 classes with unknown and silence; accuracy."""


class HearSpeechCommandsFull(Hear, name="hear_speech_commands_full"):
    """100,503 words of 1 s, 12 classes with unknown and silence; accuracy."""


class HearVocalImitation(Hear, name="hear_vocal_imitation"):
    """5,601 vocal imitations of 302 sounds, 3 folds; macro mAP."""


class HearVoxLingua(Hear, name="hear_vox_lingua_top10"):
    """972 utterances in 10 languages, 5 folds; accuracy."""


class MridangamStrokeMini(Hear, name="mridangam_stroke_mini"):
    """908 mridangam strokes, 9 kinds, 5 folds of this collection's own; accuracy."""


class MridangamTonicMini(Hear, name="mridangam_tonic_mini"):
    """856 mridangam strokes, 6 tonics, 5 folds of this collection's own; accuracy."""


class RavdessEmotion(Hear, name="ravdess_emotion"):
    """720 acted sentences of RAVDESS, 8 emotions, 5 folds by actor; accuracy."""


class ESC50Events(Hear, name="esc50_events"):
    """20 mixtures of 60 s, 11 sound events of ESC-50 with times; onset F1 within 200 ms."""
