"""Events: enveloped stretches of a tone, placed in time, and noise bursts added to the tone.

Tones are ``(B, rows + 2, 512)``: the clip's rows of 512 samples between one row before and one after
it, so that a stretch of 512 samples that touches the clip can be read whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..dsp import ROW, ramp


@dataclass(frozen=True)
class Events:
    """When each event of each clip happens, in samples: int64 ``(B, M)`` on the CPU."""

    count: Tensor  # (B,) events of each clip, at most M
    length: Tensor
    attack: Tensor
    decay: Tensor
    origin: Tensor  # where the stretch starts in the tone
    place: Tensor  # where it starts in the clip


def envelope(time: Tensor, attack: Tensor, decay: Tensor, length: Tensor, decay_level: float) -> Tensor:
    """0 to 1 over the attack, 1 to ``decay_level`` over the decay, then to 0; 0 outside; float64.

    There is no plateau. Each of the three lines includes both its ends, so 1 and ``decay_level``
    appear twice in a row.
    """
    risen = ramp(time, torch.zeros_like(time), attack)
    decayed = ramp(time, attack, decay)
    released = ramp(time, attack + decay, length - attack - decay)
    return (1.0 - decay_level) * (risen - decayed) + decay_level * (risen - released)


def place_events(tone: Tensor, events: Events, decay_level: float) -> Tensor:
    """Sum of enveloped stretches of ``tone`` at their places: float32 ``(B, rows * 512)``.

    An event covers some rows of the clip (R of them over the batch), and each such row reads one
    stretch of the tone that starts anywhere. The gain is a line within a row, save in the few rows
    where two lines of the envelope meet.
    """
    device, batch, rows = tone.device, len(tone), tone.shape[1] - 2
    size = tone[0].numel()  # of one clip's tone
    windows = tone.view(-1).as_strided((batch * size - ROW + 1, ROW), (1, 1))
    out = torch.zeros(batch * rows, ROW, device=device)
    within = torch.arange(ROW, dtype=torch.int64)

    # every happening event, ordered by its number: (E,), then its rows: (R,)
    most = events.length.shape[1]
    number, clip = (torch.arange(most)[:, None] < events.count).nonzero(as_tuple=True)
    times = torch.stack([events.length, events.attack, events.decay, events.origin, events.place])
    length, attack, decay, origin, place = times[:, clip, number]
    first = place // ROW
    count = (place + length - 1) // ROW - first + 1
    event = torch.repeat_interleave(torch.arange(len(clip)), count)
    row = torch.arange(len(event)) + (first - count.cumsum(0) + count)[event]
    since = row * ROW - place[event]  # time within the event at the row's first sample

    # the gain: a line from its value at the row's first sample to that at its last
    rise, fall, whole = attack[event], decay[event], length[event]  # (R,)
    ends = torch.stack([since, since + ROW - 1], dim=1)  # (R, 2)
    values = envelope(ends, rise[:, None], fall[:, None], whole[:, None], decay_level)
    start, stop = values.float().to(device)[:, :, None].unbind(1)
    fraction = (within.double() / (ROW - 1)).float().to(device)
    gain = torch.addcmul(start, stop - start, fraction)  # (R, 512)
    # and exactly where a line of the envelope starts within the row, after its first sample
    starts = torch.stack([torch.zeros_like(attack), attack, attack + decay, length])[:, event]
    bent = ((since < starts) & (starts <= since + ROW - 1)).any(dim=0).nonzero()[:, 0]
    time = since[bent, None] + within
    exact = envelope(time, rise[bent, None], fall[bent, None], whole[bent, None], decay_level)
    gain[bent.to(device)] = exact.float().to(device)

    owner = clip[event]
    gain *= windows.index_select(0, (owner * size + ROW + origin[event] + since).to(device))
    target = (owner * rows + row).to(device)
    # one event of each clip at a time, so that no row is written twice and sums have one order
    borders = torch.searchsorted(number[event], torch.arange(most), right=True).tolist()
    for begin, end in zip([0, *borders], borders, strict=False):
        if end > begin:
            out.index_add_(0, target[begin:end], gain[begin:end])
    return out.view(batch, -1)


def add_bursts(tone: Tensor, burst: Tensor, clips: Tensor, start: Tensor, length: Tensor) -> None:
    """Add the first ``length`` samples of each ``burst`` (C, longest) to clips ``clips`` of ``tone``.

    In place; ``clips``, ``start`` (in the clip) and ``length`` are int64 ``(C,)`` on the CPU.
    """
    device, size = tone.device, tone[0].numel()
    time = torch.arange(burst.shape[1], device=device)
    heard = time < length.to(device)[:, None]
    place = (ROW + start.to(device)[:, None] + time).clamp_max(size - 1)
    place = place + (clips.to(device) * size)[:, None]
    tone.view(-1).index_add_(0, place.flatten(), (burst * heard).flatten())
