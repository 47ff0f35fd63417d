/* SPDX-License-Identifier: MIT */
/*
 * Objects "filter-mirror": the frames of a network back end go on, and a copy of each goes to a character device; and
 * "filter-redirector": they go there instead (outdev=), and what comes from another (indev=) takes their way.
 */
#include "backends/net/frame-stream.h"
#include "base/error.h"

typedef struct {
    Filter filter;
    FrameStream out, in;
} FilterMirror;

static void send_copy(FilterMirror *mirror, const struct iovec *iov, unsigned count, size_t skip)
{
    FilterFrame frame = filter_copy(iov, count, skip);

    frame_stream_send(&mirror->out, &frame);
    g_free(frame.header);
}

static bool mirror_frame(NetdevFilter *hook, bool from_nic, const struct iovec *iov, unsigned count,
                         size_t skip)
{
    FilterMirror *mirror = (FilterMirror *)filter_of(hook);

    if (filter_wants(&mirror->filter, from_nic)) {
        send_copy(mirror, iov, count, skip);
    }
    return true;
}

static bool redirector_frame(NetdevFilter *hook, bool from_nic, const struct iovec *iov,
                             unsigned count, size_t skip)
{
    FilterMirror *redirector = (FilterMirror *)filter_of(hook);

    if (!redirector->out.chardev || !filter_wants(&redirector->filter, from_nic)) {
        return true;
    }
    send_copy(redirector, iov, count, skip);
    return false;
}

/* A frame from indev, to whom is next in the directions that the filter is for. */
static void redirector_received(void *opaque, const FilterFrame *frame)
{
    FilterMirror *redirector = opaque;

    for (unsigned from_nic = 0; from_nic < 2 && redirector->filter.hook.netdev; from_nic++) {
        if (filter_wants(&redirector->filter, from_nic)) {
            netdev_filter_pass(&redirector->filter.hook, from_nic, frame->header,
                               frame->header_size, frame->frame, frame->size);
        }
    }
}

static void mirror_free(Object *object)
{
    FilterMirror *mirror = (FilterMirror *)object;

    netdev_filter_detach(&mirror->filter.hook);
    frame_stream_close(&mirror->out);
    frame_stream_close(&mirror->in);
}

static bool open_stream(FilterMirror *mirror, FrameStream *stream, GError **error)
{
    stream->who = mirror->filter.object.id;
    stream->with_header = mirror->out.with_header;
    stream->opaque = mirror;
    return !stream->chardev || frame_stream_open(stream, error);
}

static bool open_all(FilterMirror *mirror, NetdevFilterFrame *frame, GError **error)
{
    if (open_stream(mirror, &mirror->out, error) && open_stream(mirror, &mirror->in, error) &&
        filter_attach(&mirror->filter, frame, error)) {
        return true;
    }
    mirror_free(&mirror->filter.object);
    return false;
}

static bool mirror_complete(Object *object, GError **error)
{
    FilterMirror *mirror = (FilterMirror *)object;

    if (!mirror->out.chardev) {
        return error_fail(error, KASO_ERROR_INVALID, "object '%s': give outdev=CHARDEV",
                          object->id);
    }
    return open_all(mirror, mirror_frame, error);
}

static bool redirector_complete(Object *object, GError **error)
{
    FilterMirror *redirector = (FilterMirror *)object;

    if (!redirector->in.chardev && !redirector->out.chardev) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "object '%s': give indev=CHARDEV, outdev=CHARDEV, or both", object->id);
    }
    if (redirector->in.chardev == redirector->out.chardev) {
        return error_fail(error, KASO_ERROR_INVALID,
                          "object '%s': indev and outdev must not be the same", object->id);
    }
    redirector->in.received = redirector_received;
    return open_all(redirector, redirector_frame, error);
}

#define HEADER_PROPERTY                                                                            \
    {                                                                                              \
        "vnet_hdr_support", PROPERTY_BOOL, offsetof(FilterMirror, out.with_header),                \
            "virtio's header goes with the frames"                                                 \
    }

static const Property mirror_properties[] = {
    FILTER_PROPERTIES,
    { "outdev", PROPERTY_CHARDEV, offsetof(FilterMirror, out.chardev), "where copies go" },
    HEADER_PROPERTY,
    { NULL },
};

static const Property redirector_properties[] = {
    FILTER_PROPERTIES,
    { "indev", PROPERTY_CHARDEV, offsetof(FilterMirror, in.chardev), "where frames come from" },
    { "outdev", PROPERTY_CHARDEV, offsetof(FilterMirror, out.chardev), "where frames go" },
    HEADER_PROPERTY,
    { NULL },
};

static const ObjectType filter_mirror_type = {
    .name = "filter-mirror",
    .summary = "Frames of a network back end, copied to a character device",
    .instance_size = sizeof(FilterMirror),
    .properties = mirror_properties,
    .on_netdev = true,
    .complete = mirror_complete,
    .free = mirror_free,
};
OBJECT_TYPE(filter_mirror_type);

static const ObjectType filter_redirector_type = {
    .name = "filter-redirector",
    .summary = "Frames of a network back end, led through character devices",
    .instance_size = sizeof(FilterMirror),
    .properties = redirector_properties,
    .on_netdev = true,
    .complete = redirector_complete,
    .free = mirror_free,
};
OBJECT_TYPE(filter_redirector_type);
