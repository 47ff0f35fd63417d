/* SPDX-License-Identifier: MIT */
/* The sound device: PCM streams (virtio-sound-pcm.c), and the control queue (virtio-sound.c). */
#ifndef HW_VIRTIO_VIRTIO_SOUND_H
#define HW_VIRTIO_VIRTIO_SOUND_H

#include "hw/virtio/virtio.h"
#include "machine/audio.h"

enum {
    VIRTIO_SOUND_STREAMS_MOST = 64,

    /* Answers. */
    VIRTIO_SND_S_OK = 0x8000,
    VIRTIO_SND_S_BAD_MSG = 0x8001,
    VIRTIO_SND_S_NOT_SUPP = 0x8002,
    VIRTIO_SND_S_IO_ERR = 0x8003,

    VIRTIO_SND_PCM_INFO_SIZE = 32,
    VIRTIO_SND_SET_PARAMS_SIZE = 24,
};

typedef enum { PCM_NEW, PCM_SET, PCM_PREPARED, PCM_RUNNING, PCM_STOPPED, PCM_RELEASED } PcmState;

typedef struct VirtioSound VirtioSound;

typedef struct {
    VirtioSound *sound;
    uint8_t state, format, rate, channels; /* the last three as the driver numbers them */
    uint32_t buffer_bytes, period_bytes;
    AudioStream *audio;
    GQueue pending;    /* VirtioElement *, the oldest first */
    uint32_t done;     /* bytes of the oldest */
} PcmStream;

struct VirtioSound {
    VirtioDevice virtio;
    VirtQueue *control, *event, *play, *record;
    PcmStream pcm[VIRTIO_SOUND_STREAMS_MOST];
    /* Properties. */
    Audiodev *audiodev;
    uint32_t jacks, streams, chmaps;
};

static inline VirtioSound *virtio_sound(VirtioDevice *virtio)
{
    return container_of(virtio, VirtioSound, virtio);
}

/* The first half of the streams plays. */
static inline bool virtio_sound_plays(const VirtioSound *sound, unsigned stream)
{
    return stream < (sound->streams + 1) / 2;
}

/* virtio-sound-pcm.c */
void virtio_sound_pcm_realize(VirtioSound *sound, unsigned stream, Audiodev *audiodev);
void virtio_sound_pcm_unrealize(PcmStream *pcm);
void virtio_sound_pcm_reset(PcmStream *pcm);
/* Its buffers are no longer the device's. */
void virtio_sound_pcm_forget(PcmStream *pcm);
/* The driver's wishes; each returns a VIRTIO_SND_S_…. parameters: of SET_PARAMS, VIRTIO_SND_SET_PARAMS_SIZE bytes. */
uint32_t virtio_sound_pcm_set(PcmStream *pcm, const uint8_t *parameters);
uint32_t virtio_sound_pcm_go(PcmStream *pcm, PcmState state);
/* What PCM_INFO says of a stream, VIRTIO_SND_PCM_INFO_SIZE bytes. */
void virtio_sound_pcm_info(const VirtioSound *sound, unsigned stream, uint8_t *info);
/* A chain of the play or the record queue. */
void virtio_sound_pcm_take(VirtioSound *sound, VirtioElement *element);
void virtio_sound_pcm_state_loaded(PcmStream *pcm);
extern const StateField virtio_sound_pcm_state[];

#endif
