/* SPDX-License-Identifier: MIT */
/* An ATA disk's state, for its commands (ide-hd.c) and what it says of itself (identify.c). */
#ifndef HW_IDE_IDE_HD_H
#define HW_IDE_IDE_HD_H

#include "hw/ide/ide.h"

enum {
    IDE_HD_EXT = 1 << 0,    /* 48 bit address */
    IDE_HD_FUA = 1 << 1,    /* durable when complete */
    IDE_HD_ASLEEP = 1 << 2, /* does not wake the disk up */
};

enum {
    /* The log page of the queued command that failed last (Serial ATA 3.1, 13.7.4), as far as it is not 0. */
    IDE_QUEUE_ERROR_BYTES = 14,
    IDE_QUEUE_ERROR_NONE = 1 << 7, /* of its first byte: it was no queued command */
};

typedef struct {
    IdeDrive drive; /* first */
    /* State. */
    uint8_t multiple;     /* sectors to a piece of the multiple commands; 0: they are off */
    uint8_t heads, secs;  /* geometry that software has set */
    uint8_t transfer_mode; /* SET FEATURES; 0: PIO */
    uint8_t power;
    bool write_cache, smart_enabled, smart_autosave;
    uint8_t smart_self_test; /* the last one's kind; 0: none was run */
    uint32_t trim_position, trim_left; /* in the buffer; sectors of ranges that are still to come */
    uint8_t queue_error[IDE_QUEUE_ERROR_BYTES];
    uint8_t sector_buffer[IDE_SECTOR];
    bool original_write_cache;
    /* Properties. */
    int translation;
    uint16_t rotation_rate;
} IdeHd;

IdeHd *ide_hd(IdeDrive *drive);
uint64_t ide_hd_sectors(const IdeHd *hd);
unsigned ide_hd_command_flags(uint8_t opcode);
/* 512 bytes of IDENTIFY DEVICE. */
void ide_hd_identify(const IdeHd *hd, uint8_t *data);
/* A command of SMART; false: abort it. */
bool ide_hd_smart(IdeHd *hd);
/* READ LOG EXT and READ LOG DMA EXT; false: abort it. */
bool ide_hd_read_log(IdeHd *hd, bool dma);
/* For the log: a queued command failed. fis: its frame. */
void ide_hd_note_queue_error(IdeHd *hd, unsigned tag, const uint8_t *fis);

#endif
