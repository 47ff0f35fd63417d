/* SPDX-License-Identifier: MIT */
/* PCM streams of the sound device (Virtio 1.2, 5.14.6.6 and 5.14.6.8): their states, and the buffers that the driver queues for them. */
#include "hw/virtio/virtio-sound.h"

enum {
    XFER_BYTES = 4,   /* in front: the stream */
    STATUS_BYTES = 8, /* behind: status and latency */
    CHANNELS_MOST = 2,
};

/* By the specification's number of a format: ours and one, 0 where there is none. */
static const uint8_t formats[] = {
    [3] = AUDIO_FORMAT_S8 + 1,   [4] = AUDIO_FORMAT_U8 + 1,   [5] = AUDIO_FORMAT_S16 + 1,
    [6] = AUDIO_FORMAT_U16 + 1,  [17] = AUDIO_FORMAT_S32 + 1, [18] = AUDIO_FORMAT_U32 + 1,
    [19] = AUDIO_FORMAT_F32 + 1,
};

static const uint32_t rates[] = { 5512,  8000,  11025, 16000, 22050,  32000,  44100,
                                  48000, 64000, 88200, 96000, 176400, 192000, 384000 };

static unsigned index_of(const PcmStream *pcm)
{
    return (unsigned)(pcm - pcm->sound->pcm);
}

static bool plays(const PcmStream *pcm)
{
    return virtio_sound_plays(pcm->sound, index_of(pcm));
}

static AudioSettings settings_of(const PcmStream *pcm)
{
    return (AudioSettings){ (AudioFormat)(formats[pcm->format] - 1), rates[pcm->rate],
                            pcm->channels };
}

static unsigned frame_bytes(const PcmStream *pcm)
{
    AudioSettings settings = settings_of(pcm);

    return audio_frame_bytes(&settings);
}

void virtio_sound_pcm_info(const VirtioSound *sound, unsigned stream, uint8_t *info)
{
    uint64_t offered = 0;

    memset(info, 0, VIRTIO_SND_PCM_INFO_SIZE);
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        offered |= formats[i] ? BIT(i) : 0;
    }
    store_le64(info + 8, offered);
    store_le64(info + 16, BIT(ARRAY_SIZE(rates)) - 1);
    info[24] = !virtio_sound_plays(sound, stream);
    info[25] = 1;
    info[26] = CHANNELS_MOST;
}

/* Buffers. */

static uint64_t room(const PcmStream *pcm, const VirtioElement *e)
{
    return plays(pcm) ? e->out_bytes - XFER_BYTES : e->in_bytes - STATUS_BYTES;
}

/* Returns the oldest buffer to the driver, as far as it got. */
static void finish(PcmStream *pcm, uint32_t status)
{
    VirtioElement *e = g_queue_pop_head(&pcm->pending);
    VirtQueue *queue = e->queue;
    uint32_t data = plays(pcm) ? 0 : pcm->done;
    uint8_t raw[STATUS_BYTES] = { 0 };

    store_le32(raw, status);
    /* The status is behind the room for data; what was recorded fills that, or ends before. */
    iovec_from_buffer(e->in, e->in_count, e->in_bytes - STATUS_BYTES, raw, sizeof raw);
    virtqueue_push(e, status == VIRTIO_SND_S_OK && data ? (uint32_t)e->in_bytes : STATUS_BYTES);
    virtqueue_notify(queue);
    pcm->done = 0;
}

static size_t move(PcmStream *pcm, uint8_t *data, size_t bytes)
{
    size_t done = 0;

    while (done < bytes && !g_queue_is_empty(&pcm->pending)) {
        VirtioElement *e = g_queue_peek_head(&pcm->pending);
        size_t n = MIN(bytes - done, room(pcm, e) - pcm->done);

        if (plays(pcm)) {
            iovec_to_buffer(e->out, e->out_count, XFER_BYTES + pcm->done, data + done, n);
        } else {
            iovec_from_buffer(e->in, e->in_count, pcm->done, data + done, n);
        }
        done += n;
        pcm->done += (uint32_t)n;
        if (pcm->done == room(pcm, e)) {
            finish(pcm, VIRTIO_SND_S_OK);
        }
    }
    return done;
}

static size_t pcm_play(void *opaque, void *data, size_t frames)
{
    return move(opaque, data, frames * frame_bytes(opaque)) / frame_bytes(opaque);
}

static void pcm_record(void *opaque, const void *data, size_t frames)
{
    move(opaque, (uint8_t *)data, frames * frame_bytes(opaque));
}

static size_t pcm_until_event(void *opaque)
{
    PcmStream *pcm = opaque;
    const VirtioElement *e = g_queue_peek_head(&pcm->pending);

    return e ? (room(pcm, e) - pcm->done) / frame_bytes(pcm) : 0;
}

static size_t pcm_unseen(void *opaque)
{
    const PcmStream *pcm = opaque;

    return virtqueue_unseen(plays(pcm) ? pcm->sound->play : pcm->sound->record)
               ? audio_surely_filled(pcm->buffer_bytes, pcm->period_bytes) / frame_bytes(pcm)
               : AUDIO_ALL_SEEN;
}

static const AudioClient play_client = {
    .play = pcm_play,
    .until_event = pcm_until_event,
    .unseen = pcm_unseen,
};
static const AudioClient record_client = {
    .record = pcm_record,
    .until_event = pcm_until_event,
    .unseen = pcm_unseen,
};

static void refuse(VirtioElement *element, uint32_t status)
{
    VirtQueue *queue = element->queue;
    uint8_t raw[STATUS_BYTES] = { 0 };

    store_le32(raw, status);
    iovec_from_buffer(element->in, element->in_count,
                      element->in_bytes > STATUS_BYTES ? element->in_bytes - STATUS_BYTES : 0, raw,
                      sizeof raw);
    virtqueue_push(element, (uint32_t)MIN(element->in_bytes, STATUS_BYTES));
    virtqueue_notify(queue);
}

void virtio_sound_pcm_take(VirtioSound *sound, VirtioElement *element)
{
    uint8_t raw[XFER_BYTES];
    uint32_t stream = UINT32_MAX;
    PcmStream *pcm;

    if (iovec_to_buffer(element->out, element->out_count, 0, raw, sizeof raw) == sizeof raw) {
        stream = load_le32(raw);
    }
    if (stream >= sound->streams ||
        virtio_sound_plays(sound, stream) != (element->queue == sound->play) ||
        element->in_bytes < STATUS_BYTES) {
        log_guest_error(virtio_name(&sound->virtio), "a buffer for stream %u, which is none there",
                        stream);
        refuse(element, VIRTIO_SND_S_BAD_MSG);
        return;
    }
    pcm = &sound->pcm[stream];
    if (pcm->state == PCM_NEW || pcm->state == PCM_RELEASED || room(pcm, element) == 0) {
        refuse(element, VIRTIO_SND_S_IO_ERR);
        return;
    }
    g_queue_push_tail(&pcm->pending, element);
    if (pcm->state == PCM_RUNNING) {
        audio_stream_wake(pcm->audio);
    }
}

/* States. */

uint32_t virtio_sound_pcm_set(PcmStream *pcm, const uint8_t *parameters)
{
    uint8_t channels = parameters[20], format = parameters[21], rate = parameters[22];

    if (pcm->state == PCM_RUNNING || pcm->state == PCM_STOPPED) {
        return VIRTIO_SND_S_BAD_MSG;
    }
    if (load_le32(parameters + 16) /* features, of which we offered none */ || channels == 0 ||
        channels > CHANNELS_MOST || format >= ARRAY_SIZE(formats) || !formats[format] ||
        rate >= ARRAY_SIZE(rates)) {
        return VIRTIO_SND_S_NOT_SUPP;
    }
    pcm->buffer_bytes = load_le32(parameters + 8);
    pcm->period_bytes = load_le32(parameters + 12);
    pcm->channels = channels;
    pcm->format = format;
    pcm->rate = rate;
    pcm->state = PCM_SET;
    return VIRTIO_SND_S_OK;
}

static void follow(PcmStream *pcm)
{
    AudioSettings settings = settings_of(pcm);

    if (pcm->state == PCM_RUNNING) {
        audio_stream_start(pcm->audio, &settings);
    } else {
        audio_stream_stop(pcm->audio);
    }
}

/* Bit per state from which the driver may go to another (5.14.6.6.1). */
static const uint8_t from_states[] = {
    [PCM_PREPARED] = 1 << PCM_SET | 1 << PCM_PREPARED | 1 << PCM_RELEASED,
    [PCM_RUNNING] = 1 << PCM_PREPARED | 1 << PCM_STOPPED,
    [PCM_STOPPED] = 1 << PCM_RUNNING,
    [PCM_RELEASED] = 1 << PCM_PREPARED | 1 << PCM_STOPPED | 1 << PCM_SET,
};

uint32_t virtio_sound_pcm_go(PcmStream *pcm, PcmState state)
{
    if (!(from_states[state] >> pcm->state & 1)) {
        log_guest_error(virtio_name(&pcm->sound->virtio), "stream %u cannot go from state %u to %u",
                        index_of(pcm), pcm->state, state);
        return VIRTIO_SND_S_BAD_MSG;
    }
    if (pcm->state == PCM_RUNNING) {
        audio_stream_update(pcm->audio);
    }
    pcm->state = (uint8_t)state;
    follow(pcm);
    while (state == PCM_RELEASED && !g_queue_is_empty(&pcm->pending)) {
        finish(pcm, VIRTIO_SND_S_OK);
    }
    return VIRTIO_SND_S_OK;
}

/* Life. */

void virtio_sound_pcm_realize(VirtioSound *sound, unsigned stream, Audiodev *audiodev)
{
    PcmStream *pcm = &sound->pcm[stream];
    bool play = virtio_sound_plays(sound, stream);

    pcm->sound = sound;
    g_queue_init(&pcm->pending);
    pcm->audio = audio_stream_new(audiodev, play ? AUDIO_PLAY : AUDIO_RECORD,
                                  play ? "virtio-sound out" : "virtio-sound in",
                                  play ? &play_client : &record_client, pcm);
}

void virtio_sound_pcm_forget(PcmStream *pcm)
{
    pcm->done = 0;
    g_queue_clear_full(&pcm->pending, (GDestroyNotify)virtqueue_free_element);
}

void virtio_sound_pcm_reset(PcmStream *pcm)
{
    pcm->state = PCM_NEW;
    pcm->format = 5; /* S16 */
    pcm->rate = 7;   /* 48000 */
    pcm->channels = CHANNELS_MOST;
    pcm->buffer_bytes = pcm->period_bytes = 0;
    if (pcm->audio) {
        audio_stream_stop(pcm->audio);
    }
    virtio_sound_pcm_forget(pcm);
}

void virtio_sound_pcm_unrealize(PcmStream *pcm)
{
    audio_stream_free(pcm->audio);
    pcm->audio = NULL;
    virtio_sound_pcm_forget(pcm);
}

void virtio_sound_pcm_state_loaded(PcmStream *pcm)
{
    virtio_sound_pcm_forget(pcm);
    if (!formats[pcm->format] || pcm->channels == 0) {
        virtio_sound_pcm_reset(pcm);
    }
    follow(pcm);
}

const StateField virtio_sound_pcm_state[] = {
    STATE_DERIVED(PcmStream, sound),
    STATE_MOST(PcmStream, state, PCM_RELEASED),
    STATE_MOST(PcmStream, format, ARRAY_SIZE(formats) - 1),
    STATE_MOST(PcmStream, rate, ARRAY_SIZE(rates) - 1),
    STATE_MOST(PcmStream, channels, CHANNELS_MOST),
    STATE(PcmStream, buffer_bytes),
    STATE(PcmStream, period_bytes),
    STATE_DERIVED(PcmStream, audio),
    STATE_DERIVED(PcmStream, pending),
    STATE_DERIVED(PcmStream, done),
    { 0 },
};
