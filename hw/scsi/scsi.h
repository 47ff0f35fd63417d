/* SPDX-License-Identifier: MIT */
/*
 * SCSI block devices (SPC-4, SBC-3, MMC-6): what a command packet means to a disk or a disc, apart from how packets and
 * data reach it (ATAPI, a host adapter). Under the machine lock.
 */
#ifndef HW_SCSI_SCSI_H
#define HW_SCSI_SCSI_H

#include "hw/block/disk.h"

enum {
    SCSI_CDB = 16,
    SCSI_SENSE_SIZE = 18,
    SCSI_DISC_BLOCK = 2048,
    /* Around the data of a raw sector: sync and header before it, error correction behind. */
    SCSI_RAW_EXTRA = 304,
    SCSI_RAW_START = 16,
    SCSI_MAX_FILL = 64 << 20, /* bytes that WRITE SAME takes at once */
    SCSI_BUFFER = 4096, /* enough for what any command answers or takes */

    SCSI_NO_SENSE = 0,
    SCSI_NOT_READY = 2,
    SCSI_MEDIUM_ERROR = 3,
    SCSI_HARDWARE_ERROR = 4,
    SCSI_ILLEGAL_REQUEST = 5,
    SCSI_UNIT_ATTENTION = 6,
    SCSI_DATA_PROTECT = 7,
};

typedef enum { SCSI_DISK, SCSI_DISC } ScsiKind;

/* What a command wants next. After SCSI_FAILED its sense data are there. */
typedef enum {
    SCSI_DONE,
    SCSI_FAILED,
    SCSI_SEND,    /* bytes of the buffer to the host */
    SCSI_RECEIVE, /* bytes from the host into the buffer, then scsi_received */
    SCSI_READ,    /* [offset, offset + length) of the image to the host */
    SCSI_WRITE,
    SCSI_FLUSH,
    SCSI_DISCARD,
    SCSI_ZERO,
    SCSI_FILL,    /* the range with the block that is in the buffer */
} ScsiAction;

typedef struct {
    ScsiKind kind;
    Disk *disk;
    const char *vendor, *product;
    const char *device_id; /* its name in the identification page; may be NULL */
    uint32_t block;        /* bytes of a logical block */
    uint8_t inquiry_version, inquiry_format;
    bool removable, dpofua; /* of disks */
    uint16_t rotation_rate; /* turns per minute; 1: solid state; 0: not told */
    uint32_t max_unmap, max_transfer; /* blocks of a command; 0: no limit is told */
    uint64_t port_wwn;     /* of the target's port; 0: none */
    uint16_t port_index;
    /* State. */
    uint8_t sense_key, sense_code, sense_qualifier;
    uint8_t attention_code, attention_qualifier; /* to be told before the next command; 0: nothing */
    uint8_t media_event;  /* to be told by GET EVENT STATUS NOTIFICATION */
    bool tray_open, locked, write_cache;
} ScsiUnit;

#define SCSI_UNIT_STATE(Instance, member)                                                          \
    STATE(Instance, member.sense_key), STATE(Instance, member.sense_code),                         \
        STATE(Instance, member.sense_qualifier), STATE(Instance, member.attention_code),           \
        STATE(Instance, member.attention_qualifier), STATE(Instance, member.media_event),          \
        STATE(Instance, member.tray_open), STATE(Instance, member.locked),                         \
        STATE(Instance, member.write_cache)

/* A command under way. */
typedef struct {
    const uint8_t *cdb;
    uint8_t *buffer; /* of SCSI_BUFFER bytes */
    uint32_t bytes;
    uint64_t offset, length;
    uint16_t raw;    /* SCSI_RAW_EXTRA: the host gets whole sectors */
    bool fua;
    bool may_unmap;  /* ZERO: the range may lose its storage */
} ScsiCommand;

void scsi_unit_reset(ScsiUnit *unit);
/* command: cdb and buffer are given. */
ScsiAction scsi_start(ScsiUnit *unit, ScsiCommand *command);
/* What RECEIVE asked for is in the buffer. */
ScsiAction scsi_received(ScsiUnit *unit, ScsiCommand *command);
/* A request to the image failed; error: an errno. */
void scsi_image_failed(ScsiUnit *unit, bool is_write, int error);
/* Writes SCSI_SENSE_SIZE bytes, and forgets them. */
void scsi_take_sense(ScsiUnit *unit, uint8_t *data);
unsigned scsi_cdb_size(uint8_t opcode);
/*
 * Which way a command moves data, and how many bytes at most, by its packet alone: for transports that do not say it
 * themselves. unit NULL: one that is not there.
 */
typedef enum { SCSI_NO_DATA, SCSI_TO_HOST, SCSI_FROM_HOST } ScsiDirection;
ScsiDirection scsi_data(const ScsiUnit *unit, const uint8_t *cdb, uint64_t *bytes);

/* Puts sync pattern, address and mode 1 around a raw sector's data; error correction, which images lack, is zero. */
void mmc_frame_sector(uint8_t *sector, uint64_t block);

/* For the files of this folder. */
ScsiAction scsi_fail(ScsiUnit *unit, uint8_t key, uint8_t code, uint8_t qualifier);
ScsiAction scsi_fail_field(ScsiUnit *unit);
/* An answer of `bytes`, of which the host has room for `room`. */
ScsiAction scsi_answer(ScsiCommand *command, uint32_t bytes, uint32_t room);
uint64_t scsi_blocks(const ScsiUnit *unit);
bool scsi_has_medium(const ScsiUnit *unit);
/* For MediumOps of discs. */
void mmc_query_medium(const ScsiUnit *unit, MediumState *state);
void mmc_move_tray(ScsiUnit *unit, bool open);
void mmc_ask_for_eject(ScsiUnit *unit);

ScsiAction scsi_inquiry(ScsiUnit *unit, ScsiCommand *command);
ScsiAction scsi_mode_sense(ScsiUnit *unit, ScsiCommand *command);
ScsiAction scsi_mode_select(ScsiUnit *unit, ScsiCommand *command);
ScsiAction scsi_log_sense(ScsiUnit *unit, ScsiCommand *command);
bool scsi_mode_received(ScsiUnit *unit, ScsiCommand *command);

ScsiAction mmc_start_stop(ScsiUnit *unit, ScsiCommand *command);
ScsiAction mmc_read_cd(ScsiUnit *unit, ScsiCommand *command);
ScsiAction mmc_read_cd_msf(ScsiUnit *unit, ScsiCommand *command);
ScsiAction mmc_read_toc(ScsiUnit *unit, ScsiCommand *command);
ScsiAction mmc_read_subchannel(ScsiUnit *unit, ScsiCommand *command);
ScsiAction mmc_get_configuration(ScsiUnit *unit, ScsiCommand *command);
ScsiAction mmc_get_event(ScsiUnit *unit, ScsiCommand *command);
ScsiAction mmc_disc_information(ScsiUnit *unit, ScsiCommand *command);
ScsiAction mmc_track_information(ScsiUnit *unit, ScsiCommand *command);
ScsiAction mmc_mechanism_status(ScsiUnit *unit, ScsiCommand *command);
ScsiAction mmc_dvd_structure(ScsiUnit *unit, ScsiCommand *command);

#endif
