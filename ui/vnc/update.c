/* SPDX-License-Identifier: MIT */
/*
 * Updates: what has changed, in a client's encoding, when the client wants it. One at a time for each client, and the next when
 * the socket has taken all of the last: a slow client gets fewer pictures, not older ones.
 */
#include <string.h>

#include "base/bits.h"
#include "ui/vnc/vnc.h"

enum {
    ENCODING_DESKTOP_SIZE = -223,
    ENCODING_LAST_RECT = -224,
    ENCODING_CURSOR = -239,
    ENCODING_MOTION_CHANGE = -257,
    ENCODING_EXTENDED_KEYS = -258,
    ENCODING_LEDS = -261,
    ENCODING_NAME = -307,
    ENCODING_EXTENDED_SIZE = -308,
    ENCODING_POWER = -309,
    ENCODING_FENCE = -312,
    ENCODING_CONTINUOUS = -313,
    ENCODING_CURSOR_ALPHA = -314,
    ENCODING_CLIPBOARD = (int)0xc0a1e5ce,
    QUALITY_0 = -32,
    LEVEL_0 = -256,
    RECTS_MAX = 512,        /* more of them are sent as what is around them */
    PIECES_MAX = 4 * 512,   /* of what a slow client has to get */
    COPIES_MAX = 16,        /* that wait; then pixels are cheaper */
    NEIGHBOURS = 16,        /* rectangles that one is compared with */
    RECT_PIXELS = 256,      /* as many as are spared may be sent for nothing */
    PIXELS_AT_ONCE = 12288, /* what takes less time than waking a worker, whatever it shows */
    US_AT_ONCE = 500,       /* what the main loop may take for more of them */
};

static const struct {
    int32_t encoding;
    unsigned feature;
} features[] = {
    { VNC_COPY_RECT, VNC_CAN_COPY },
    { ENCODING_DESKTOP_SIZE, VNC_CAN_RESIZE },
    { ENCODING_EXTENDED_SIZE, VNC_CAN_RESIZE_EXTENDED },
    { ENCODING_CURSOR, VNC_CAN_CURSOR },
    { ENCODING_CURSOR_ALPHA, VNC_CAN_CURSOR_ALPHA },
    { ENCODING_EXTENDED_KEYS, VNC_CAN_KEYS },
    { ENCODING_LEDS, VNC_CAN_LEDS },
    { ENCODING_MOTION_CHANGE, VNC_CAN_MOTION_CHANGE },
    { ENCODING_CONTINUOUS, VNC_CAN_CONTINUE },
    { ENCODING_FENCE, VNC_CAN_FENCE },
    { ENCODING_NAME, VNC_CAN_NAME },
    { ENCODING_CLIPBOARD, VNC_CAN_CLIPBOARD },
    { ENCODING_POWER, VNC_CAN_POWER },
};

/* A client that names an encoding of this set wants it; the first that it names it wants most. */
static bool is_for_pixels(int32_t encoding)
{
    static const int32_t known[] = { VNC_RAW,   VNC_HEXTILE, VNC_ZLIB,
                                     VNC_TIGHT, VNC_ZRLE,    VNC_TIGHT_PNG };

    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (known[i] == encoding) {
            return true;
        }
    }
    return false;
}

static void take_encoding(VncClient *client, int32_t encoding, bool *chosen)
{
    for (size_t i = 0; i < G_N_ELEMENTS(features); i++) {
        if (features[i].encoding == encoding) {
            client->features |= features[i].feature;
        }
    }
    if (encoding >= QUALITY_0 && encoding < QUALITY_0 + 10) {
        client->quality = encoding - QUALITY_0;
    } else if (encoding >= LEVEL_0 && encoding < LEVEL_0 + 10) {
        client->level = encoding - LEVEL_0;
    } else if (is_for_pixels(encoding) && !*chosen) {
        client->preferred = (VncEncoding)encoding;
        *chosen = true;
    }
}

void vnc_client_set_encodings(VncClient *client, const int32_t *encodings, unsigned count)
{
    static const uint8_t continuous_ends[1] = { 150 }, power[4] = { 250, 0, 1, 0 };
    static const uint8_t fence[9] = { 248, [4] = 0x80 /* a request: noVNC takes nothing else */ };
    unsigned before = client->features;
    bool chosen = false;

    client->features = 0;
    client->preferred = VNC_RAW;
    client->quality = -1;
    client->level = VNC_LEVEL_DEFAULT;
    for (unsigned i = 0; i < count; i++) {
        take_encoding(client, encodings[i], &chosen);
    }
    if (!client->server->lossy) {
        client->quality = -1;
    }
    client->send_size |=
        client->features & VNC_CAN_RESIZE_EXTENDED && !(before & VNC_CAN_RESIZE_EXTENDED);
    client->send_cursor = client->features & (VNC_CAN_CURSOR | VNC_CAN_CURSOR_ALPHA);
    client->send_leds = client->features & VNC_CAN_LEDS;
    client->send_keys = client->features & VNC_CAN_KEYS && !(before & VNC_CAN_KEYS);
    client->send_motion = client->features & VNC_CAN_MOTION_CHANGE;
    /* Each of these extensions has a first message that says that we know it. */
    if (client->features & ~before & VNC_CAN_CONTINUE) {
        vnc_client_write(client, continuous_ends, sizeof(continuous_ends));
    }
    if (client->features & ~before & VNC_CAN_FENCE) {
        vnc_client_write(client, fence, sizeof(fence));
    }
    if (client->features & ~before & VNC_CAN_CLIPBOARD) {
        vnc_clipboard_begin(client);
    }
    if (client->features & ~before & VNC_CAN_POWER && client->server->power_control) {
        vnc_client_write(client, power, sizeof(power));
    }
}

void vnc_client_damage_all(VncClient *client)
{
    VncServer *server = client->server;

    if (!client->ready) {
        return;
    }
    g_array_set_size(client->copies, 0);
    pixman_region32_fini(&client->damage);
    pixman_region32_init_rect(&client->damage, 0, 0,
                              (unsigned)pixman_image_get_width(server->screen),
                              (unsigned)pixman_image_get_height(server->screen));
    vnc_client_kick(client);
}

void vnc_client_damage(VncClient *client, pixman_region32_t *region)
{
    if (!client->ready) {
        return;
    }
    pixman_region32_union(&client->damage, &client->damage, region);
    if (pixman_region32_n_rects(&client->damage) > PIECES_MAX) {
        pixman_box32_t around = *pixman_region32_extents(&client->damage);

        pixman_region32_fini(&client->damage);
        pixman_region32_init_with_extents(&client->damage, &around);
    }
    vnc_client_kick(client);
}

/* Copies. They are done before what is damaged is drawn: damage in their source moves with it. */

static void damage_box(VncClient *client, const pixman_box32_t *box)
{
    pixman_region32_union_rect(&client->damage, &client->damage, box->x1, box->y1,
                               (unsigned)(box->x2 - box->x1), (unsigned)(box->y2 - box->y1));
}

void vnc_client_copy(VncClient *client, const VncCopy *copy)
{
    const pixman_box32_t *to = &copy->to;
    unsigned width = (unsigned)(to->x2 - to->x1), height = (unsigned)(to->y2 - to->y1);
    pixman_region32_t moved, target;

    if (!client->ready) {
        return;
    }
    vnc_client_kick(client);
    if (!(client->features & VNC_CAN_COPY) || client->copies->len == COPIES_MAX) {
        damage_box(client, to);
        return;
    }
    g_array_append_val(client->copies, *copy);
    pixman_region32_init(&moved);
    pixman_region32_init_rect(&target, to->x1, to->y1, width, height);
    pixman_region32_intersect_rect(&moved, &client->damage, to->x1, to->y1 - copy->dy, width,
                                   height);
    pixman_region32_translate(&moved, 0, copy->dy);
    pixman_region32_subtract(&client->damage, &client->damage, &target);
    pixman_region32_union(&client->damage, &client->damage, &moved);
    pixman_region32_fini(&target);
    pixman_region32_fini(&moved);
}

/* Whether the client has asked for all of what they change, and has all of it. */
static bool copies_fit(const VncClient *client, pixman_region32_t *asked)
{
    for (guint i = 0; i < client->copies->len; i++) {
        const VncCopy *copy = &g_array_index(client->copies, VncCopy, i);
        pixman_box32_t to = copy->to;

        if (pixman_region32_contains_rectangle(asked, &to) != PIXMAN_REGION_IN ||
            to.x2 > client->width || to.y2 - MIN(copy->dy, 0) > client->height) {
            return false;
        }
    }
    return client->features & VNC_CAN_COPY;
}

/* asked: what the client wants to see now. */
static void put_copies(VncClient *client, pixman_region32_t *asked)
{
    bool fit = copies_fit(client, asked);

    for (guint i = 0; i < client->copies->len; i++) {
        const VncCopy *copy = &g_array_index(client->copies, VncCopy, i);
        const pixman_box32_t *to = &copy->to;
        uint8_t from[4];

        if (!fit) {
            damage_box(client, to);
            continue;
        }
        vnc_put_head(&client->encoder, to->x1, to->y1, to->x2 - to->x1, to->y2 - to->y1,
                     VNC_COPY_RECT);
        store_be16(from, (uint16_t)to->x1);
        store_be16(from + 2, (uint16_t)(to->y1 - copy->dy));
        g_byte_array_append(client->encoder.out, from, sizeof(from));
    }
    g_array_set_size(client->copies, 0);
}

/* Rectangles that carry no pixels. */

static void put_size(VncClient *client, int width, int height)
{
    VncEncoder *encoder = &client->encoder;
    uint8_t screen[20] = { 1 };

    if (client->features & VNC_CAN_RESIZE_EXTENDED) {
        store_be16(screen + 12, (uint16_t)width);
        store_be16(screen + 14, (uint16_t)height);
        vnc_put_head(encoder, (int)client->size_reason, (int)client->size_status, width, height,
                     ENCODING_EXTENDED_SIZE);
        g_byte_array_append(encoder->out, screen, sizeof(screen));
    } else {
        vnc_put_head(encoder, 0, 0, width, height, ENCODING_DESKTOP_SIZE);
    }
    client->size_reason = client->size_status = 0;
}

/* Colours in the client's pixels and a mask of one bit for each. */
static void put_plain_cursor(VncEncoder *encoder, const uint32_t *pixels, int width, int height)
{
    int row_bytes = (width + 7) / 8;
    guint at;

    vnc_put_pixels(&encoder->format, encoder->out, pixels, (unsigned)(width * height));
    at = encoder->out->len;
    g_byte_array_set_size(encoder->out, at + (guint)(row_bytes * height));
    memset(encoder->out->data + at, 0, (size_t)row_bytes * (size_t)height);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            if (pixels[y * width + x] >> 24 >= 0x80) {
                encoder->out->data[at + (guint)(y * row_bytes + x / 8)] |= (guint8)(0x80 >> x % 8);
            }
        }
    }
}

/* Red, green, blue and alpha, as raw pixels. */
static void put_alpha_cursor(VncEncoder *encoder, const uint32_t *pixels, int width, int height)
{
    uint8_t raw[4] = { 0 };

    g_byte_array_append(encoder->out, raw, sizeof(raw)); /* the encoding of what follows */
    for (int i = 0; i < width * height; i++) {
        uint8_t bytes[4] = { (uint8_t)(pixels[i] >> 16), (uint8_t)(pixels[i] >> 8),
                             (uint8_t)pixels[i], (uint8_t)(pixels[i] >> 24) };

        g_byte_array_append(encoder->out, bytes, sizeof(bytes));
    }
}

/* Under the machine lock. An empty one while the guest hides it. */
static void put_cursor(VncClient *client)
{
    const DisplayCursor *cursor = display_cursor(client->server->display);
    bool alpha = client->features & VNC_CAN_CURSOR_ALPHA;
    pixman_image_t *image = cursor->shown ? cursor->image : NULL;
    int width = image ? pixman_image_get_width(image) : 0;
    int height = image ? pixman_image_get_height(image) : 0;
    g_autofree uint32_t *pixels = g_new0(uint32_t, (size_t)width * (size_t)height + 1);

    for (int y = 0; y < height; y++) {
        memcpy(pixels + (size_t)y * (size_t)width,
               (const char *)pixman_image_get_data(image) +
                   (size_t)y * (size_t)pixman_image_get_stride(image),
               (size_t)width * 4);
    }
    vnc_put_head(&client->encoder, image ? cursor->hot_x : 0, image ? cursor->hot_y : 0, width,
                 height, alpha ? ENCODING_CURSOR_ALPHA : ENCODING_CURSOR);
    (alpha ? put_alpha_cursor : put_plain_cursor)(&client->encoder, pixels, width, height);
}

static void put_leds(VncClient *client)
{
    uint8_t state = (uint8_t)client->server->leds; /* the protocol's bits are InputLeds' */

    vnc_put_head(&client->encoder, 0, 0, 1, 1, ENCODING_LEDS);
    g_byte_array_append(client->encoder.out, &state, 1);
}

static void put_name(VncClient *client)
{
    g_autofree char *title = seat_title(client->server->machine, client->server->display);
    uint8_t size[4];

    store_be32(size, (uint32_t)strlen(title));
    vnc_put_head(&client->encoder, 0, 0, 0, 0, ENCODING_NAME);
    g_byte_array_append(client->encoder.out, size, sizeof(size));
    g_byte_array_append(client->encoder.out, (const guint8 *)title, (guint)strlen(title));
}

static void put_extras(VncClient *client, int width, int height)
{
    if (client->send_size) {
        client->width = width;
        client->height = height;
        put_size(client, width, height);
    }
    if (client->send_cursor && client->features & (VNC_CAN_CURSOR | VNC_CAN_CURSOR_ALPHA) &&
        client->server->cursor_known) {
        put_cursor(client);
    }
    if (client->send_leds && client->features & VNC_CAN_LEDS) {
        put_leds(client);
    }
    if (client->send_keys) {
        vnc_put_head(&client->encoder, 0, 0, client->width, client->height, ENCODING_EXTENDED_KEYS);
    }
    if (client->send_motion && client->features & VNC_CAN_MOTION_CHANGE) {
        vnc_put_head(&client->encoder, client->server->absolute, 0, client->width, client->height,
                     ENCODING_MOTION_CHANGE);
    }
    if (client->send_name && client->features & VNC_CAN_NAME) {
        put_name(client);
    }
    client->absolute = client->server->absolute;
    client->send_size = client->send_cursor = client->send_leds = client->send_keys = false;
    client->send_motion = client->send_name = false;
}

/* Pixels. */

typedef struct {
    VncClient *client;
    GArray *boxes; /* pixman_box32_t */
    uint32_t *
        pixels; /* of all of them, one after the other; NULL: they are the screen's, in the main loop */
    size_t count;   /* of pixels */
    gint64 took_us; /* to encode them */
} Job;

static void free_job(Job *job)
{
    g_array_unref(job->boxes);
    g_free(job->pixels);
    g_free(job);
}

static void finish(Job *job)
{
    VncClient *client = job->client;
    GByteArray *out = client->encoder.out;

    store_be16(out->data + 2, (uint16_t)client->encoder.rects);
    client->encoding = false;
    if (job->count > PIXELS_AT_ONCE) {
        client->pixel_us = (double)job->took_us / (double)job->count;
    }
    vnc_client_write(client, out->data, out->len);
    vnc_client_kick(client);
    vnc_client_unref(client);
    free_job(job);
}

static gboolean take_done(gpointer opaque)
{
    VncServer *server = opaque;
    Job *job;

    while ((job = g_async_queue_try_pop(server->done))) {
        finish(job);
    }
    return G_SOURCE_REMOVE;
}

void vnc_updates_end(VncServer *server)
{
    while (g_idle_remove_by_data(server)) {
    }
    take_done(server);
    g_async_queue_unref(server->done);
}

static int pixels_of(const pixman_box32_t *box)
{
    return (box->x2 - box->x1) * (box->y2 - box->y1);
}

/* Of the screen, which is the main loop's alone. */
static VncArea area_of(const VncServer *server, const pixman_box32_t *box)
{
    size_t stride = (size_t)pixman_image_get_stride(server->screen) / 4;
    const uint32_t *pixels = pixman_image_get_data(server->screen);

    return (VncArea){ pixels + (size_t)box->y1 * stride + box->x1,
                      (unsigned)stride,
                      box->x1,
                      box->y1,
                      box->x2 - box->x1,
                      box->y2 - box->y1 };
}

static void encode(Job *job)
{
    const uint32_t *pixels = job->pixels;
    gint64 start_us = g_get_monotonic_time();

    for (guint i = 0; i < job->boxes->len; i++) {
        const pixman_box32_t *box = &g_array_index(job->boxes, pixman_box32_t, i);
        VncArea area;

        if (pixels) {
            int width = box->x2 - box->x1, height = box->y2 - box->y1;

            area = (VncArea){ pixels, (unsigned)width, box->x1, box->y1, width, height };
            pixels += pixels_of(box);
        } else {
            area = area_of(job->client->server, box);
        }
        vnc_encode(&job->client->encoder, &area);
    }
    job->took_us = g_get_monotonic_time() - start_us;
}

/* Text takes a tenth of a film's time: what a client's last large update took says whether this one is worth a worker. */
static bool is_for_worker(const Job *job)
{
    return job->count > PIXELS_AT_ONCE && (double)job->count * job->client->pixel_us > US_AT_ONCE;
}

void vnc_update_encode(gpointer data, gpointer server)
{
    Job *job = data;

    encode(job);
    g_async_queue_push(((VncServer *)server)->done, job);
    g_idle_add_full(G_PRIORITY_DEFAULT, take_done, server, NULL);
}

/*
 * Rectangles that are nearly one become one: lines of text with their gaps, and what a region has cut into its bands. A rectangle has a
 * head, often a palette, and zlib's end of a block.
 */
static GArray *join_boxes(const pixman_box32_t *boxes, int count)
{
    GArray *joined = g_array_new(false, false, sizeof(pixman_box32_t));

    for (int i = 0; i < count; i++) {
        pixman_box32_t box = boxes[i];
        guint end = joined->len > NEIGHBOURS ? joined->len - NEIGHBOURS : 0;

        for (guint at = joined->len; at-- > end;) {
            pixman_box32_t *other = &g_array_index(joined, pixman_box32_t, at);
            pixman_box32_t both = { MIN(box.x1, other->x1), MIN(box.y1, other->y1),
                                    MAX(box.x2, other->x2), MAX(box.y2, other->y2) };
            int apart = pixels_of(&box) + pixels_of(other);

            if (pixels_of(&both) <= apart + apart / 4 + RECT_PIXELS) {
                box = both;
                g_array_remove_index(joined, at);
            }
        }
        g_array_append_val(joined, box);
    }
    return joined;
}

/* The pixels as they are now, for a worker. */
static void keep_pixels(Job *job)
{
    uint32_t *to = job->pixels = g_new(uint32_t, job->count + 1);

    for (guint i = 0; i < job->boxes->len; i++) {
        VncArea area = area_of(job->client->server, &g_array_index(job->boxes, pixman_box32_t, i));

        for (int y = 0; y < area.height; y++, to += area.width) {
            memcpy(to, vnc_row(&area, y), (size_t)area.width * sizeof(*to));
        }
    }
}

static Job *new_job(VncClient *client, pixman_region32_t *region)
{
    Job *job = g_new0(Job, 1);
    int count;
    const pixman_box32_t *boxes = pixman_region32_rectangles(region, &count);

    job->client = client;
    job->boxes = join_boxes(boxes, count);
    if (job->boxes->len > RECTS_MAX) {
        g_array_set_size(job->boxes, 0);
        g_array_append_vals(job->boxes, pixman_region32_extents(region), 1);
    }
    for (guint i = 0; i < job->boxes->len; i++) {
        job->count += (size_t)pixels_of(&g_array_index(job->boxes, pixman_box32_t, i));
    }
    return job;
}

/* What the client wants to see now. */
static void wanted_area(VncClient *client, pixman_region32_t *region)
{
    pixman_region32_init(region);
    pixman_region32_copy(region, &client->requested);
    if (client->continuous) {
        const pixman_box32_t *area = &client->continuous_area;

        pixman_region32_union_rect(region, region, area->x1, area->y1,
                                   (unsigned)(area->x2 - area->x1),
                                   (unsigned)(area->y2 - area->y1));
    }
    /* A client that cannot be told of another size sees the part that fits. */
    pixman_region32_intersect_rect(region, region, 0, 0, (unsigned)client->width,
                                   (unsigned)client->height);
}

static void configure_encoder(VncClient *client)
{
    VncEncoder *encoder = &client->encoder;
    static const uint8_t head[4] = { 0 };

    encoder->encoding = client->preferred;
    encoder->format = client->format;
    encoder->level = client->level;
    encoder->quality = client->quality;
    encoder->rects = 0;
    g_byte_array_set_size(encoder->out, 0);
    g_byte_array_append(encoder->out, head, sizeof(head));
}

static bool has_extras(const VncClient *client)
{
    const unsigned cursors = VNC_CAN_CURSOR | VNC_CAN_CURSOR_ALPHA;

    return client->send_size || client->send_keys ||
           (client->send_cursor && client->features & cursors && client->server->cursor_known) ||
           (client->send_leds && client->features & VNC_CAN_LEDS) ||
           (client->send_motion && client->features & VNC_CAN_MOTION_CHANGE) ||
           (client->send_name && client->features & VNC_CAN_NAME);
}

static void update(VncClient *client)
{
    pixman_image_t *screen = client->server->screen;
    int width = pixman_image_get_width(screen), height = pixman_image_get_height(screen);
    bool asked = client->continuous || pixman_region32_not_empty(&client->requested);
    pixman_region32_t region;

    if (!client->stream || client->encoding || !asked || stream_waiting(client->stream)) {
        return;
    }
    client->send_size |= (width != client->width || height != client->height) &&
                         client->features & (VNC_CAN_RESIZE | VNC_CAN_RESIZE_EXTENDED);
    configure_encoder(client);
    if (has_extras(client)) {
        machine_lock(client->server->machine);
        put_extras(client, width, height);
        machine_unlock(client->server->machine);
    }
    wanted_area(client, &region);
    put_copies(client, &region);
    pixman_region32_intersect(&region, &region, &client->damage);
    pixman_region32_intersect_rect(&region, &region, 0, 0, (unsigned)width, (unsigned)height);
    if (client->encoder.rects || pixman_region32_not_empty(&region)) {
        Job *job = new_job(client, &region);

        pixman_region32_subtract(&client->damage, &client->damage, &region);
        pixman_region32_clear(&client->requested);
        client->references++;
        client->encoding = true;
        if (is_for_worker(job)) {
            keep_pixels(job);
            g_thread_pool_push(client->server->workers, job, NULL);
        } else {
            encode(job);
            finish(job);
        }
    }
    pixman_region32_fini(&region);
}

static gboolean kicked(gpointer opaque)
{
    VncClient *client = opaque;

    client->kick = 0;
    update(client);
    return G_SOURCE_REMOVE;
}

/* Whether there may be something to send; when there comes to be, it is kicked again. */
static bool may_send(VncClient *client)
{
    return (client->continuous || pixman_region32_not_empty(&client->requested)) &&
           !client->encoding && !stream_waiting(client->stream) &&
           (pixman_region32_not_empty(&client->damage) || client->copies->len ||
            has_extras(client));
}

void vnc_client_kick(VncClient *client)
{
    if (client->ready && client->stream && !client->kick && may_send(client)) {
        client->kick = g_idle_add_full(G_PRIORITY_DEFAULT, kicked, client, NULL);
    }
}
