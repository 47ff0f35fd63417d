/* SPDX-License-Identifier: MIT */
/*
 * The network block device protocol: numbers that client and server share. The specification is
 * doc/proto.md of the NetworkBlockDevice project; all fields are big-endian.
 */
#ifndef BLOCK_NBD_NBD_H
#define BLOCK_NBD_NBD_H

#include "base/bits.h"

#define NBD_INIT_MAGIC         UINT64_C(0x4e42444d41474943) /* "NBDMAGIC" */
#define NBD_OPTION_MAGIC       UINT64_C(0x49484156454f5054) /* "IHAVEOPT" */
#define NBD_OLDSTYLE_MAGIC     UINT64_C(0x0000420281861253)
#define NBD_REPLY_OPTION_MAGIC UINT64_C(0x0003e889045565a9)

enum {
    NBD_DEFAULT_PORT = 10809,
    NBD_NAME_MAX = 4096, /* of an export or a metadata context */
    NBD_PAYLOAD_MAX = 32 * 1024 * 1024,
};
#define NBD_REQUEST_MAGIC          UINT32_C(0x25609513)
#define NBD_EXTENDED_REQUEST_MAGIC UINT32_C(0x21e41c71)
#define NBD_SIMPLE_REPLY_MAGIC     UINT32_C(0x67446698)
#define NBD_STRUCTURED_REPLY_MAGIC UINT32_C(0x668e33ef)
#define NBD_EXTENDED_REPLY_MAGIC   UINT32_C(0x6e8a278c)

/* Sizes on the wire. */
enum {
    NBD_REQUEST_SIZE = 28,
    NBD_EXTENDED_REQUEST_SIZE = 32,
    NBD_SIMPLE_REPLY_SIZE = 16,
    NBD_STRUCTURED_REPLY_SIZE = 20,
    NBD_EXTENDED_REPLY_SIZE = 32,
};

/* Handshake flags of the server and, in the same places, of the client. */
enum { NBD_FLAG_FIXED_NEWSTYLE = 1 << 0, NBD_FLAG_NO_ZEROES = 1 << 1 };

/* Transmission flags of an export. */
enum {
    NBD_FLAG_HAS_FLAGS = 1 << 0,
    NBD_FLAG_READ_ONLY = 1 << 1,
    NBD_FLAG_SEND_FLUSH = 1 << 2,
    NBD_FLAG_SEND_FUA = 1 << 3,
    NBD_FLAG_SEND_TRIM = 1 << 5,
    NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6,
    NBD_FLAG_SEND_DF = 1 << 7,
    NBD_FLAG_CAN_MULTI_CONN = 1 << 8,
    NBD_FLAG_SEND_CACHE = 1 << 10,
    NBD_FLAG_SEND_FAST_ZERO = 1 << 11,
};

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

enum {
    NBD_REP_ACK = 1,
    NBD_REP_SERVER = 2,
    NBD_REP_INFO = 3,
    NBD_REP_META_CONTEXT = 4,
};
#define NBD_REP_ERROR               UINT32_C(0x80000000)
#define NBD_REP_ERR_UNSUP           (NBD_REP_ERROR + 1)
#define NBD_REP_ERR_POLICY          (NBD_REP_ERROR + 2)
#define NBD_REP_ERR_INVALID         (NBD_REP_ERROR + 3)
#define NBD_REP_ERR_TLS_REQD        (NBD_REP_ERROR + 5)
#define NBD_REP_ERR_UNKNOWN         (NBD_REP_ERROR + 6)
#define NBD_REP_ERR_SHUTDOWN        (NBD_REP_ERROR + 7)
#define NBD_REP_ERR_BLOCK_SIZE_REQD (NBD_REP_ERROR + 8)
#define NBD_REP_ERR_TOO_BIG         (NBD_REP_ERROR + 9)

enum { NBD_INFO_EXPORT = 0, NBD_INFO_NAME = 1, NBD_INFO_DESCRIPTION = 2, NBD_INFO_BLOCK_SIZE = 3 };

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
    NBD_CMD_FLAG_PAYLOAD_LEN = 1 << 5,
};

enum { NBD_REPLY_FLAG_DONE = 1 << 0 };

enum {
    NBD_REPLY_TYPE_NONE = 0,
    NBD_REPLY_TYPE_OFFSET_DATA = 1,
    NBD_REPLY_TYPE_OFFSET_HOLE = 2,
    NBD_REPLY_TYPE_BLOCK_STATUS = 5,
    NBD_REPLY_TYPE_BLOCK_STATUS_EXT = 6,
    NBD_REPLY_TYPE_ERROR = 0x8001,
    NBD_REPLY_TYPE_ERROR_OFFSET = 0x8002,
};

/* Flags of the metadata context base:allocation. */
enum { NBD_STATE_HOLE = 1 << 0, NBD_STATE_ZERO = 1 << 1 };
/* Of qemu:dirty-bitmap:NAME. */
enum { NBD_STATE_DIRTY = 1 << 0 };

/* How requests and replies are laid out; each mode includes what the ones before it can. */
typedef enum { NBD_MODE_SIMPLE, NBD_MODE_STRUCTURED, NBD_MODE_EXTENDED } NbdMode;

/* Errors travel as numbers of their own, whatever the host calls them. */
uint32_t nbd_error_from_errno(int errno_value);
int nbd_error_to_errno(uint32_t error);

#endif
