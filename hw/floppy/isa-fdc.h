/* SPDX-License-Identifier: MIT */
/* The 82078's state, for its registers (isa-fdc.c) and its commands (fdc-commands.c). */
#ifndef HW_FLOPPY_ISA_FDC_H
#define HW_FLOPPY_ISA_FDC_H

#include "hw/floppy/fdc.h"
#include "hw/isa/isa.h"

enum {
    FDC_VERSION = 1, /* of what is saved: 1 knows POWERDOWN MODE and DRIVE SPECIFICATION */
    FDC_FIFO = 16,
    FDC_LONGEST = 17, /* command: RESTORE */
    /* In the second byte of CONFIGURE. */
    FDC_CONFIGURE_RESET = 1 << 5, /* FIFO off */
    FDC_CONFIGURE_LOCKED = 0x2f,  /* what LOCK keeps: the FIFO and its threshold */
    FDC_IMPLIED_SEEK = 1 << 6,
};

typedef enum {
    FDC_IDLE,
    FDC_COMMAND, /* the host writes a command */
    FDC_REQUEST, /* the block layer has a sector */
    FDC_DATA,    /* the host or its DMA controller moves what is in the buffer */
    FDC_RESULT,  /* the host reads */
    FDC_PHASES,
} FdcPhase;

/* A request's own memory. */
typedef struct {
    bool in_flight;
    bool dropped; /* its command is gone */
    BlockBackend *drive;
    struct iovec iov;
} FdcRequest;

typedef struct {
    Device device; /* first */
    IrqLine irq;
    MemoryRegion low, high;
    FloppyBus floppies;
    FdcRequest *request;
    /* State. */
    uint8_t phase; /* FdcPhase */
    uint8_t dor, tdr, rate, configure, precompensation, perpendicular, specify[2];
    bool locked, non_dma, to_host, interrupt;
    bool sense_reset; /* what is to be sensed comes from a reset */
    bool ended;       /* terminal count came */
    uint8_t sense_pending, sense_status;
    uint8_t position, length, fifo[FDC_FIFO];
    uint32_t data_position, data_end;
    uint8_t buffer[FLOPPY_SECTOR];
    /* The command: its bytes are in the FIFO until its result. */
    uint8_t command, unit, cylinder, head, sector, last;
    uint8_t formatted;      /* sectors */
    uint8_t power;          /* what POWERDOWN MODE was given */
    uint8_t drive_types[4]; /* what DRIVE SPECIFICATION was given */
    /* Properties. */
    uint32_t iobase, irq_number, dma;
} Fdc;

Floppy *fdc_drive(const Fdc *f, unsigned unit);
void fdc_set_irq(Fdc *f, bool level);
void fdc_begin_result(Fdc *f, unsigned bytes, bool interrupt);
/* The host shall take, or fill, buffer bytes [position, bytes). */
void fdc_begin_data(Fdc *f, bool to_host, uint32_t position, uint32_t bytes);

unsigned fdc_command_length(uint8_t opcode);
void fdc_run_command(Fdc *f);
/* The buffer was taken or filled, or the DMA controller's count has run out (end). */
void fdc_data_done(Fdc *f, bool end);
void fdc_submit(Fdc *f);
void fdc_deliver(Fdc *f);

#endif
