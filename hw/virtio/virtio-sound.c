/* SPDX-License-Identifier: MIT */
/*
 * Virtio sound device (Virtio 1.2, 5.14): its configuration and control queue. What it plays and records passes
 * virtio-sound-pcm.c. Jacks are always plugged in, and there are no events.
 */
#include "hw/virtio/virtio-sound.h"

#include "base/error.h"
#include "machine/machine.h"

enum {
    QUEUE_SIZE = 64,
    CONFIG_SIZE = 12, /* jacks, streams, channel maps */

    JACKS_MOST = 8,
    CHANNEL_MAPS_MOST = 18,

    REQUEST_JACK_INFO = 1,
    REQUEST_JACK_REMAP = 2,
    REQUEST_PCM_INFO = 0x100,
    REQUEST_PCM_SET_PARAMS = 0x101,
    REQUEST_PCM_PREPARE = 0x102,
    REQUEST_PCM_RELEASE = 0x103,
    REQUEST_PCM_START = 0x104,
    REQUEST_PCM_STOP = 0x105,
    REQUEST_CHANNEL_MAP_INFO = 0x200,

    REQUEST_BYTES_MOST = 64,
    QUERY_BYTES = 16,
    JACK_INFO_BYTES = 24,
    CHANNEL_MAP_INFO_BYTES = 24,
    CHANNEL_FRONT_LEFT = 3,
    CHANNEL_FRONT_RIGHT = 4,
};

/* A control message under way. */
typedef struct {
    VirtioSound *sound;
    VirtioElement *element;
    uint8_t request[REQUEST_BYTES_MOST];
    size_t size;
    uint32_t written; /* bytes of the answer */
} Message;

/* What is told of one jack, stream or channel map. */
typedef void DescribeItem(const VirtioSound *sound, unsigned index, uint8_t *info);

static void describe_jack(const VirtioSound *sound, unsigned index, uint8_t *info)
{
    memset(info, 0, JACK_INFO_BYTES);
    store_le32(info + 8, 0x01014010); /* a line-out jack at the back, as HDA codecs say it */
    info[16] = 1;                     /* connected */
}

/* Stereo: of the outputs, then of the inputs. */
static void describe_channel_map(const VirtioSound *sound, unsigned index, uint8_t *info)
{
    memset(info, 0, CHANNEL_MAP_INFO_BYTES);
    info[4] = index & 1;
    info[5] = 2;
    info[6] = CHANNEL_FRONT_LEFT;
    info[7] = CHANNEL_FRONT_RIGHT;
}

/* Information about items `start` to `start` + `count`, of `size` bytes each, behind the status. */
static uint32_t query(Message *m, uint32_t items, uint32_t bytes, DescribeItem *describe)
{
    uint8_t info[VIRTIO_SND_PCM_INFO_SIZE];
    uint32_t start, count, size;

    if (m->size < QUERY_BYTES) {
        return VIRTIO_SND_S_BAD_MSG;
    }
    start = load_le32(m->request + 4);
    count = load_le32(m->request + 8);
    size = load_le32(m->request + 12);
    if (start > items || count > items - start || size != bytes ||
        m->element->in_bytes < 4 + (uint64_t)count * size) {
        return VIRTIO_SND_S_BAD_MSG;
    }
    for (uint32_t i = 0; i < count; i++) {
        describe(m->sound, start + i, info);
        iovec_from_buffer(m->element->in, m->element->in_count, 4 + (size_t)i * size, info, size);
    }
    m->written += count * size;
    return VIRTIO_SND_S_OK;
}

static uint32_t go(Message *m, PcmState state)
{
    uint32_t stream = m->size >= 8 ? load_le32(m->request + 4) : UINT32_MAX;

    return stream < m->sound->streams ? virtio_sound_pcm_go(&m->sound->pcm[stream], state)
                                      : VIRTIO_SND_S_BAD_MSG;
}

static uint32_t set_parameters(Message *m)
{
    uint32_t stream;

    if (m->size < VIRTIO_SND_SET_PARAMS_SIZE) {
        return VIRTIO_SND_S_BAD_MSG;
    }
    stream = load_le32(m->request + 4);
    return stream < m->sound->streams ? virtio_sound_pcm_set(&m->sound->pcm[stream], m->request)
                                      : VIRTIO_SND_S_BAD_MSG;
}

static uint32_t carry_out(Message *m)
{
    if (m->size < 4) {
        return VIRTIO_SND_S_BAD_MSG;
    }
    trace("virtio-sound", "request %#x", load_le32(m->request));
    switch (load_le32(m->request)) {
    case REQUEST_JACK_INFO:
        return query(m, m->sound->jacks, JACK_INFO_BYTES, describe_jack);
    case REQUEST_PCM_INFO:
        return query(m, m->sound->streams, VIRTIO_SND_PCM_INFO_SIZE, virtio_sound_pcm_info);
    case REQUEST_CHANNEL_MAP_INFO:
        return query(m, m->sound->chmaps, CHANNEL_MAP_INFO_BYTES, describe_channel_map);
    case REQUEST_PCM_SET_PARAMS:
        return set_parameters(m);
    case REQUEST_PCM_PREPARE:
        return go(m, PCM_PREPARED);
    case REQUEST_PCM_RELEASE:
        return go(m, PCM_RELEASED);
    case REQUEST_PCM_START:
        return go(m, PCM_RUNNING);
    case REQUEST_PCM_STOP:
        return go(m, PCM_STOPPED);
    case REQUEST_JACK_REMAP:
        return VIRTIO_SND_S_NOT_SUPP;
    default:
        return VIRTIO_SND_S_BAD_MSG;
    }
}

static bool take_control(VirtQueue *queue, VirtioElement *element)
{
    Message message = { .sound = virtio_sound(queue->virtio), .element = element, .written = 4 };
    uint8_t status[4];

    message.size = iovec_to_buffer(element->out, element->out_count, 0, message.request,
                                   sizeof message.request);
    store_le32(status, carry_out(&message));
    iovec_from_buffer(element->in, element->in_count, 0, status, sizeof status);
    virtqueue_push(element, (uint32_t)MIN(message.written, element->in_bytes));
    return true;
}

static void kick_control(VirtQueue *queue)
{
    virtqueue_process(queue, take_control);
}

/* Nothing happens here that the driver has to be told. */
static void kick_event(VirtQueue *queue)
{
}

static bool take_buffer(VirtQueue *queue, VirtioElement *element)
{
    virtio_sound_pcm_take(virtio_sound(queue->virtio), element);
    return true;
}

static void kick_buffers(VirtQueue *queue)
{
    virtqueue_process(queue, take_buffer);
}

static void virtio_sound_retake(VirtQueue *queue, VirtioElement *element)
{
    VirtioSound *sound = virtio_sound(queue->virtio);

    if (queue == sound->play || queue == sound->record) {
        virtio_sound_pcm_take(sound, element);
    } else {
        virtqueue_push(element, 0);
    }
}

static uint64_t virtio_sound_features(VirtioDevice *virtio)
{
    return 0;
}

static void virtio_sound_reset(VirtioDevice *virtio)
{
    for (unsigned i = 0; i < VIRTIO_SOUND_STREAMS_MOST; i++) {
        virtio_sound_pcm_reset(&virtio_sound(virtio)->pcm[i]);
    }
}

static void virtio_sound_queue_reset(VirtQueue *queue)
{
    VirtioSound *sound = virtio_sound(queue->virtio);

    for (unsigned i = 0; i < sound->streams; i++) {
        if (queue == (virtio_sound_plays(sound, i) ? sound->play : sound->record)) {
            virtio_sound_pcm_forget(&sound->pcm[i]);
        }
    }
}

static void virtio_sound_state_loaded(VirtioDevice *virtio)
{
    VirtioSound *sound = virtio_sound(virtio);

    for (unsigned i = 0; i < sound->streams; i++) {
        virtio_sound_pcm_state_loaded(&sound->pcm[i]);
    }
}

static bool check_properties(const VirtioSound *sound, GError **error)
{
    const struct {
        const char *name;
        uint32_t value, least, most;
    } limits[] = {
        { "jacks", sound->jacks, 0, JACKS_MOST },
        { "streams", sound->streams, 1, VIRTIO_SOUND_STREAMS_MOST },
        { "chmaps", sound->chmaps, 0, CHANNEL_MAPS_MOST },
    };

    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        if (limits[i].value < limits[i].least || limits[i].value > limits[i].most) {
            return error_fail(error, KASO_ERROR_INVALID, "%s: %s=%u: give %u to %u",
                              virtio_name(&sound->virtio), limits[i].name, limits[i].value,
                              limits[i].least, limits[i].most);
        }
    }
    return true;
}

static bool virtio_sound_realize(VirtioDevice *virtio, GError **error)
{
    VirtioSound *sound = virtio_sound(virtio);
    Audiodev *audiodev;

    if (!check_properties(sound, error)) {
        return false;
    }
    audiodev = audiodev_choose(virtio_machine(virtio), sound->audiodev, error);
    if (!audiodev) {
        return false;
    }
    store_le32(virtio->config, sound->jacks);
    store_le32(virtio->config + 4, sound->streams);
    store_le32(virtio->config + 8, sound->chmaps);
    sound->control = virtio_add_queue(virtio, QUEUE_SIZE, kick_control);
    sound->event = virtio_add_queue(virtio, QUEUE_SIZE, kick_event);
    sound->play = virtio_add_queue(virtio, QUEUE_SIZE, kick_buffers);
    sound->record = virtio_add_queue(virtio, QUEUE_SIZE, kick_buffers);
    for (unsigned i = 0; i < sound->streams; i++) {
        virtio_sound_pcm_realize(sound, i, audiodev);
    }
    return true;
}

static void virtio_sound_unrealize(VirtioDevice *virtio)
{
    VirtioSound *sound = virtio_sound(virtio);

    for (unsigned i = 0; i < sound->streams; i++) {
        virtio_sound_pcm_unrealize(&sound->pcm[i]);
    }
}

static const VirtioType virtio_sound_type = {
    .name = "virtio-sound",
    .virtio_id = 25,
    .pci_class = 0x040100,
    .config_size = CONFIG_SIZE,
    .realize = virtio_sound_realize,
    .unrealize = virtio_sound_unrealize,
    .features = virtio_sound_features,
    .reset = virtio_sound_reset,
    .queue_reset = virtio_sound_queue_reset,
    .state_loaded = virtio_sound_state_loaded,
    .retake = virtio_sound_retake,
};

static const Property virtio_sound_properties[] = {
    { "audiodev", PROPERTY_AUDIODEV, offsetof(VirtioSound, audiodev),
      "id of the back end of sound" },
    { "jacks", PROPERTY_U32, offsetof(VirtioSound, jacks), "jacks that are shown, 0 to 8", "0" },
    { "streams", PROPERTY_U32, offsetof(VirtioSound, streams),
      "streams, of which the first half plays, 1 to 64", "2" },
    { "chmaps", PROPERTY_U32, offsetof(VirtioSound, chmaps), "channel maps, 0 to 18", "0" },
    { 0 },
};

static const StateField virtio_sound_state[] = {
    VIRTIO_STATE,
    STATE_STRUCTS(VirtioSound, pcm, virtio_sound_pcm_state),
    { 0 },
};

VIRTIO_MODERN_DEVICE_TYPES(virtio_sound, "virtio-sound", VirtioSound, "Virtio Sound", "sound");
