/* SPDX-License-Identifier: MIT */
/* Messages: their header, their numbers and strings, and which handler answers. */
#include "hw/9p/9p.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "hw/virtio/virtio.h"

enum { WRITE_FIELDS = 16 /* fid[4] offset[8] count[4] */ };

/* Reading. */

static const uint8_t *get(NinepRequest *r, size_t size)
{
    static const uint8_t nothing[8];
    const uint8_t *at = r->body;

    if (r->left < size) {
        r->too_short = true;
        r->left = 0;
        return nothing;
    }
    r->body += size;
    r->left -= size;
    return at;
}

uint8_t ninep_get8(NinepRequest *request)
{
    return *get(request, 1);
}

uint16_t ninep_get16(NinepRequest *request)
{
    return load_le16(get(request, 2));
}

uint32_t ninep_get32(NinepRequest *request)
{
    return load_le32(get(request, 4));
}

uint64_t ninep_get64(NinepRequest *request)
{
    return load_le64(get(request, 8));
}

/* The copy of the body is ours: the text moves over its length, which makes room for the 0 behind it. */
const char *ninep_get_string(NinepRequest *request)
{
    size_t length = ninep_get16(request);
    char *text = (char *)request->body - 1;

    if (request->too_short || length > request->left || memchr(request->body, 0, length)) {
        request->too_short = true;
        request->left = 0;
        return "";
    }
    memmove(text, request->body, length);
    text[length] = '\0';
    request->body += length;
    request->left -= length;
    return text;
}

/* Writing. */

static void put(NinepRequest *r, const void *data, size_t size)
{
    g_byte_array_append(r->reply, data, (guint)size);
}

void ninep_put8(NinepRequest *request, uint8_t value)
{
    put(request, &value, 1);
}

void ninep_put16(NinepRequest *request, uint16_t value)
{
    uint8_t bytes[2];

    store_le16(bytes, value);
    put(request, bytes, sizeof bytes);
}

void ninep_put32(NinepRequest *request, uint32_t value)
{
    uint8_t bytes[4];

    store_le32(bytes, value);
    put(request, bytes, sizeof bytes);
}

void ninep_put64(NinepRequest *request, uint64_t value)
{
    uint8_t bytes[8];

    store_le64(bytes, value);
    put(request, bytes, sizeof bytes);
}

void ninep_put_string(NinepRequest *request, const char *text, size_t size)
{
    ninep_put16(request, (uint16_t)size);
    put(request, text, size);
}

void ninep_put_qid(NinepRequest *request, const FsAttributes *attributes)
{
    const struct stat *stat = &attributes->stat;

    ninep_put8(request, S_ISDIR(stat->st_mode)   ? NINEP_QID_FOLDER
                        : S_ISLNK(stat->st_mode) ? NINEP_QID_LINK
                                                 : 0);
    ninep_put32(request, (uint32_t)(stat->st_mtim.tv_sec ^ stat->st_mtim.tv_nsec ^
                                    (uint64_t)stat->st_size << 8));
    ninep_put64(request, attributes->number);
}

int ninep_put_node_qid(NinepRequest *request, FsNode *node)
{
    FsAttributes attributes;
    int result = node->fsdev->type->attributes(node, &attributes);

    if (!result) {
        ninep_put_qid(request, &attributes);
    }
    return result;
}

uint32_t ninep_room(const NinepRequest *request, uint32_t header, uint32_t wanted)
{
    uint64_t room = MIN(request->room_bytes, request->session->msize);

    return room > header ? (uint32_t)MIN(wanted, room - header) : 0;
}

/* Life. */

struct iovec *ninep_iovec_part(const struct iovec *iov, unsigned *count, size_t offset, size_t size)
{
    struct iovec *part = g_new(struct iovec, *count);
    unsigned used = 0;

    for (unsigned i = 0; i < *count && size; i++) {
        size_t skipped = MIN(offset, iov[i].iov_len), length = MIN(size, iov[i].iov_len - skipped);

        offset -= skipped;
        if (length) {
            part[used++] = (struct iovec){ (char *)iov[i].iov_base + skipped, length };
            size -= length;
        }
    }
    *count = used;
    return part;
}

bool ninep_request_begin(NinepRequest *r, uint64_t bytes)
{
    uint8_t header[NINEP_HEADER];
    size_t body, copied;

    if (iovec_to_buffer(r->out, r->out_count, 0, header, sizeof header) != sizeof header) {
        return false;
    }
    r->size = load_le32(header);
    r->type = header[4];
    r->tag = load_le16(header + 5);
    r->reply = g_byte_array_new();
    g_byte_array_set_size(r->reply, NINEP_HEADER);
    if (r->size < NINEP_HEADER || r->size > bytes) {
        r->too_short = true;
        return true;
    }
    body = r->size - NINEP_HEADER;
    copied = MIN(body, r->type == NINEP_TWRITE ? WRITE_FIELDS : NINEP_BODY_MOST);
    r->copy = r->body = g_malloc(copied + 1);
    r->left = iovec_to_buffer(r->out, r->out_count, NINEP_HEADER, r->body, copied);
    r->too_short = copied < body && r->type != NINEP_TWRITE; /* nothing that long is right */
    return true;
}

void ninep_request_end(NinepRequest *r)
{
    g_clear_pointer(&r->reply, g_byte_array_unref);
    g_clear_pointer(&r->copy, g_free);
}

/* Puts the header before the reply, and the reply into the room. */
static void finish(NinepRequest *r, uint8_t type)
{
    uint64_t size = r->reply->len + r->payload;
    uint8_t *header = r->reply->data;

    if (size > r->room_bytes) {
        r->written = 0;
        return;
    }
    store_le32(header, (uint32_t)size);
    header[4] = type;
    store_le16(header + 5, r->tag);
    iovec_from_buffer(r->room, r->room_count, 0, header, r->reply->len);
    r->written = (uint32_t)size;
}

static void finish_error(NinepRequest *r, int error)
{
    g_byte_array_set_size(r->reply, NINEP_HEADER);
    r->payload = 0;
    if (r->session && r->session->dialect == NINEP_UNIX) {
        const char *text = g_strerror(error);

        ninep_put_string(r, text, strlen(text));
        ninep_put32(r, (uint32_t)error);
        finish(r, NINEP_RERROR);
        return;
    }
    ninep_put32(r, (uint32_t)error);
    finish(r, NINEP_RLERROR);
}

void ninep_answer(NinepRequest *request, int result)
{
    if (result < 0) {
        finish_error(request, -result);
    } else {
        finish(request, request->type + 1);
    }
}

NinepSession *ninep_version(NinepRequest *r, Fsdev *fsdev)
{
    uint32_t msize = ninep_get32(r);
    const char *version = ninep_get_string(r);
    NinepDialect dialect = strcmp(version, "9P2000.L") == 0 ? NINEP_LINUX : NINEP_NO_DIALECT;
    const char *ours = dialect == NINEP_LINUX ? version : "unknown";

    if (r->too_short || msize < NINEP_MSIZE_LEAST) {
        ninep_answer(r, -EMSGSIZE);
        return ninep_session_new(fsdev, NINEP_NO_DIALECT, NINEP_MSIZE_LEAST);
    }
    msize = MIN(msize, NINEP_MSIZE_MOST);
    ninep_put32(r, msize);
    ninep_put_string(r, ours, strlen(ours));
    ninep_answer(r, 0);
    return ninep_session_new(fsdev, dialect, msize);
}

static NinepHandler *const handlers[] = {
    [NINEP_TSTATFS] = ninep_statfs,
    [NINEP_TLOPEN] = ninep_lopen,
    [NINEP_TLCREATE] = ninep_lcreate,
    [NINEP_TSYMLINK] = ninep_symlink,
    [NINEP_TMKNOD] = ninep_mknod,
    [NINEP_TRENAME] = ninep_rename,
    [NINEP_TREADLINK] = ninep_readlink,
    [NINEP_TGETATTR] = ninep_getattr,
    [NINEP_TSETATTR] = ninep_setattr,
    [NINEP_TXATTRWALK] = ninep_xattrwalk,
    [NINEP_TXATTRCREATE] = ninep_xattrcreate,
    [NINEP_TREADDIR] = ninep_readdir,
    [NINEP_TFSYNC] = ninep_fsync,
    [NINEP_TLOCK] = ninep_lock,
    [NINEP_TGETLOCK] = ninep_getlock,
    [NINEP_TLINK] = ninep_link,
    [NINEP_TMKDIR] = ninep_mkdir,
    [NINEP_TRENAMEAT] = ninep_renameat,
    [NINEP_TUNLINKAT] = ninep_unlinkat,
    [NINEP_TAUTH] = ninep_auth,
    [NINEP_TATTACH] = ninep_attach,
    [NINEP_TWALK] = ninep_walk,
    [NINEP_TREAD] = ninep_read,
    [NINEP_TWRITE] = ninep_write,
    [NINEP_TCLUNK] = ninep_clunk,
    [NINEP_TREMOVE] = ninep_remove,
};

static int dispatch(NinepRequest *r)
{
    NinepHandler *handler = r->type < G_N_ELEMENTS(handlers) ? handlers[r->type] : NULL;

    if (r->too_short) {
        return r->size > NINEP_BODY_MOST ? -EMSGSIZE : -EINVAL;
    }
    if (!handler || r->session->dialect == NINEP_NO_DIALECT) {
        return -EOPNOTSUPP;
    }
    return r->size > r->session->msize ? -EMSGSIZE : handler(r);
}

void ninep_run(NinepRequest *request)
{
    ninep_answer(request, dispatch(request));
}
