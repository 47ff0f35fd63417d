/* SPDX-License-Identifier: MIT */
/* The NBD protocol: constants, and connections with or without TLS. */
#ifndef BLOCK_NBD_H
#define BLOCK_NBD_H

#include "block/node.h"

#define NBD_MAGIC UINT64_C(0x4e42444d41474943)        /* "NBDMAGIC" */
#define NBD_OPTION_MAGIC UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_OPTION_REPLY_MAGIC UINT64_C(0x0003e889045565a9)
#define NBD_REQUEST_MAGIC 0x25609513u
#define NBD_EXTENDED_REQUEST_MAGIC 0x21e41c71u
#define NBD_SIMPLE_REPLY_MAGIC 0x67446698u
#define NBD_STRUCTURED_REPLY_MAGIC 0x668e33efu
#define NBD_EXTENDED_REPLY_MAGIC 0x6e8a278cu

enum { NBD_FLAG_FIXED_NEWSTYLE = 1, NBD_FLAG_NO_ZEROES = 2 };

enum {
    NBD_OPT_EXPORT_NAME = 1,
    NBD_OPT_ABORT = 2,
    NBD_OPT_LIST = 3,
    NBD_OPT_STARTTLS = 5,
    NBD_OPT_INFO = 6,
    NBD_OPT_GO = 7,
    NBD_OPT_STRUCTURED_REPLY = 8,
    NBD_OPT_LIST_META_CONTEXT = 9,
    NBD_OPT_SET_META_CONTEXT = 10,
    NBD_OPT_EXTENDED_HEADERS = 11,
};

#define NBD_REP_ERROR(n) (0x80000000u | (n))
enum { NBD_REP_ACK = 1, NBD_REP_SERVER = 2, NBD_REP_INFO = 3, NBD_REP_META_CONTEXT = 4 };
#define NBD_REP_ERR_UNSUP NBD_REP_ERROR(1)
#define NBD_REP_ERR_POLICY NBD_REP_ERROR(2)
#define NBD_REP_ERR_INVALID NBD_REP_ERROR(3)
#define NBD_REP_ERR_TLS_REQD NBD_REP_ERROR(5)
#define NBD_REP_ERR_UNKNOWN NBD_REP_ERROR(6)

enum { NBD_INFO_EXPORT = 0, NBD_INFO_NAME = 1, NBD_INFO_DESCRIPTION = 2, NBD_INFO_BLOCK_SIZE = 3 };

enum {
    NBD_HAS_FLAGS = 1 << 0,
    NBD_READ_ONLY = 1 << 1,
    NBD_SEND_FLUSH = 1 << 2,
    NBD_SEND_FUA = 1 << 3,
    NBD_SEND_TRIM = 1 << 5,
    NBD_SEND_WRITE_ZEROES = 1 << 6,
    NBD_SEND_DF = 1 << 7,
    NBD_CAN_MULTI_CONN = 1 << 8,
    NBD_SEND_CACHE = 1 << 10,
    NBD_SEND_FAST_ZERO = 1 << 11,
};

enum {
    NBD_CMD_READ = 0,
    NBD_CMD_WRITE = 1,
    NBD_CMD_DISC = 2,
    NBD_CMD_FLUSH = 3,
    NBD_CMD_TRIM = 4,
    NBD_CMD_CACHE = 5,
    NBD_CMD_WRITE_ZEROES = 6,
    NBD_CMD_BLOCK_STATUS = 7,
};

enum {
    NBD_CMD_FLAG_FUA = 1 << 0,
    NBD_CMD_FLAG_NO_HOLE = 1 << 1,
    NBD_CMD_FLAG_DF = 1 << 2,
    NBD_CMD_FLAG_REQ_ONE = 1 << 3,
    NBD_CMD_FLAG_FAST_ZERO = 1 << 4,
    NBD_CMD_FLAG_PAYLOAD = 1 << 5,
};

enum {
    NBD_CHUNK_NONE = 0,
    NBD_CHUNK_OFFSET_DATA = 1,
    NBD_CHUNK_OFFSET_HOLE = 2,
    NBD_CHUNK_BLOCK_STATUS = 5,
    NBD_CHUNK_BLOCK_STATUS_EXT = 6,
    NBD_CHUNK_ERROR = 0x8001,
    NBD_CHUNK_ERROR_OFFSET = 0x8002,
    NBD_CHUNK_DONE = 1, /* flag */
};

enum { NBD_STATE_HOLE = 1, NBD_STATE_ZERO = 2 };
enum { NBD_MAX_STRING = 4096, NBD_MAX_BUFFER = 32 * 1024 * 1024, NBD_PORT = 10809 };

uint32_t nbd_error_of(int negative_errno);
int nbd_errno_of(uint32_t error); /* negative */

/* A connection. Reading and writing are each for one coroutine at a time. */
typedef struct NbdChannel NbdChannel;
/* Takes over the descriptor. */
NbdChannel *nbd_channel_new(int fd);
/* Wakes whoever waits on it; the channel stays valid. */
void nbd_channel_shutdown(NbdChannel *channel);
void nbd_channel_free(NbdChannel *channel);
/* 0 or a negative errno; -ECONNRESET at the end of the stream. */
int nbd_read(NbdChannel *channel, void *buffer, size_t size);
int nbd_skip(NbdChannel *channel, uint64_t size);
int nbd_write(NbdChannel *channel, const void *buffer, size_t size);
/* creds: the id of a tls-creds object of the graph. */
bool nbd_start_tls(NbdChannel *channel, BlockGraph *graph, const char *creds, bool is_server,
                   const char *hostname, GError **error);

/* The options of a tls-creds object, or NULL. */
GHashTable *block_tls_creds(BlockGraph *graph, const char *id, GError **error);

/* Serving one export to any number of connections. */
typedef struct {
    BlockGraph *graph;
    BlockNode *node;
    const char *name, *description;
    const char *tls_creds;
    bool read_only, allocation_depth, verbose;
    unsigned connections;
} NbdExport;
/* Negotiates and serves until the client leaves; frees the channel. [coroutine] */
void nbd_serve(NbdExport *export, NbdChannel *channel);

#endif
