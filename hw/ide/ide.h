/* SPDX-License-Identifier: MIT */
/*
 * ATA (ATA/ATAPI-7, INCITS 397-2005): channels with up to two drives, and what drives and controllers need of
 * each other. core.c has the registers that all drives share, transfer.c moves data, a drive's own file has its commands.
 *
 * A drive does one command at a time, and of that at most one request is in the block layer. What a
 * command still has to do is in fields of the drive, never in the request, so that a request that failed or
 * was lost by loading a state can be made again. Everything runs under the machine lock.
 */
#ifndef HW_IDE_IDE_H
#define HW_IDE_IDE_H

#include "hw/block/disk.h"

typedef struct IdeDrive IdeDrive;
typedef struct IdeChannel IdeChannel;

/* Registers of the command block (ATA/ATAPI-7, volume 1, 5). */
enum {
    IDE_DATA,
    IDE_FEATURES, /* read: error */
    IDE_COUNT,
    IDE_LBA_LOW,
    IDE_LBA_MID,
    IDE_LBA_HIGH,
    IDE_DEVICE,
    IDE_COMMAND, /* read: status */
    IDE_REGISTERS,
};

enum {
    IDE_STATUS_ERR = 1 << 0,
    IDE_STATUS_DRQ = 1 << 3,
    IDE_STATUS_DSC = 1 << 4, /* seek complete; ATAPI: service */
    IDE_STATUS_DF = 1 << 5,
    IDE_STATUS_DRDY = 1 << 6,
    IDE_STATUS_BSY = 1 << 7,
    IDE_STATUS_READY = IDE_STATUS_DRDY | IDE_STATUS_DSC,

    IDE_ERROR_ABRT = 1 << 2,
    IDE_ERROR_IDNF = 1 << 4,
    IDE_ERROR_UNC = 1 << 6,

    IDE_DEVICE_HEAD = 0x0f,
    IDE_DEVICE_DEV = 1 << 4,
    IDE_DEVICE_LBA = 1 << 6,

    /* In the count register of packet commands. */
    IDE_REASON_CD = 1 << 0, /* a command packet or status, not data */
    IDE_REASON_IO = 1 << 1, /* to the host */
};

enum { IDE_SECTOR = 512, IDE_BUFFER = 65536, IDE_IOV_MAX = 1024 };

/* What a drive waits for. */
typedef enum {
    IDE_IDLE,
    IDE_PIO_IN,   /* the host reads the buffer */
    IDE_PIO_OUT,  /* the host fills the buffer */
    IDE_DMA_WAIT, /* the host starts its DMA engine */
    IDE_REQUEST,  /* the block layer */
    IDE_PHASES,
} IdePhase;

typedef enum { IDE_IO_NONE, IDE_IO_READ, IDE_IO_WRITE, IDE_IO_FLUSH, IDE_IO_DISCARD, IDE_IO_KINDS } IdeIo;

/* A drive's own part. */
typedef struct {
    /* Power-on, hardware and software reset: signature, modes. */
    void (*reset)(IdeDrive *drive, bool hardware);
    void (*command)(IdeDrive *drive, uint8_t command);
    /* The host has taken or given all of the buffer, or all of a transfer is done. */
    void (*transferred)(IdeDrive *drive);
    /* Before each interrupt for a piece of PIO: the registers that describe it. May be NULL. */
    void (*describe_piece)(IdeDrive *drive, uint32_t bytes);
    /* A request failed, which is to be told to the guest; error: an errno. */
    void (*failed)(IdeDrive *drive, int error);
} IdeDriveOps;

/* The DMA engine of a channel's controller. */
typedef struct {
    bool (*started)(IdeChannel *channel);
    /*
     * Guest memory of up to `bytes` bytes that come next, as far as it is RAM; the engine does not go on. Returns
     * the bytes.
     */
    uint64_t (*gather)(IdeChannel *channel, uint64_t bytes, bool to_memory, struct iovec *iov,
                       unsigned *count);
    /* The engine goes on by bytes that gather gave; to_memory: they were written. */
    void (*advance)(IdeChannel *channel, uint64_t bytes, bool to_memory);
    /* Copies and goes on. Returns the bytes, fewer when the engine has no more room or met a fault. */
    uint64_t (*copy)(IdeChannel *channel, void *buffer, uint64_t bytes, bool to_memory);
    /* The drive has done its command. */
    void (*finished)(IdeChannel *channel);
    /* The drive wants more than the engine was told to move, or memory did not answer. */
    void (*ran_out)(IdeChannel *channel);
    /* The channel's interrupt rose or fell. */
    void (*set_irq)(IdeChannel *channel, bool level);
    /* A software reset that had to wait for a request is over. May be NULL. */
    void (*reset_done)(IdeChannel *channel);
} IdeControllerOps;

struct IdeChannel {
    Bus bus;
    const IdeControllerOps *ops;
    unsigned number;  /* of the controller's */
    bool queues;      /* its disks can queue commands: Serial ATA */
    IdeDrive *drives[2];
    uint8_t control;  /* device control register */
    uint8_t selected; /* the drive that reads come from */
    bool irq_level;
};

/* A request's own memory, apart from the drive's state. */
typedef struct {
    IdeDrive *drive;
    bool in_flight;
    bool dropped; /* its command is gone: the result is of no interest */
    struct iovec iov[IDE_IOV_MAX];
    unsigned count;
    uint8_t range[IDE_SECTOR]; /* of DATA SET MANAGEMENT: what is discarded */
} IdeRequest;

struct IdeDrive {
    Device device; /* first */
    const IdeDriveOps *ops;
    IdeChannel *channel;
    IdeRequest *request;
    uint32_t unit; /* property, then its place */
    bool queues;   /* takes queued commands, which go past this engine */
    Disk disk;
    /* State. */
    uint8_t registers[IDE_REGISTERS];
    uint8_t previous[IDE_REGISTERS]; /* what each held before the last write: the high half of 48 bits */
    uint8_t status, error, command;
    bool irq;
    bool reset_pending;   /* software reset came while a request was in flight */
    uint8_t phase;        /* IdePhase */
    /* The transfer. Pieces go through the buffer, except for DMA to RAM. */
    uint8_t io;           /* IdeIo */
    bool dma, last_irq;   /* last_irq: the end has an interrupt of its own */
    bool bounced;         /* the request in flight goes through the buffer */
    bool fua;
    bool out;             /* the buffer goes from the host to the drive */
    bool alone;           /* the request under way moves no data of the host's */
    uint64_t offset;      /* of the next request, or the one under way, on the disk */
    uint64_t left;        /* bytes that requests still have to move, with the one under way */
    uint32_t chunk;       /* bytes of the request under way */
    uint32_t piece;       /* bytes for each DRQ */
    uint32_t fill;        /* most bytes for each request of PIO */
    uint16_t raw;         /* bytes around each 2048 of a disc that are made, not read; 0: none */
    uint32_t position, piece_end, end; /* in the buffer */
    uint8_t buffer[IDE_BUFFER];
};

#define IDE_DRIVE_STATE(Instance, member)                                                          \
    STATE(Instance, member.registers), STATE(Instance, member.previous),                           \
        STATE(Instance, member.status), STATE(Instance, member.error),                             \
        STATE(Instance, member.command), STATE(Instance, member.irq),                              \
        STATE(Instance, member.reset_pending),                                                     \
        STATE_MOST(Instance, member.phase, IDE_PHASES - 1),                                        \
        STATE_MOST(Instance, member.io, IDE_IO_KINDS - 1), STATE(Instance, member.dma),            \
        STATE(Instance, member.last_irq), STATE(Instance, member.bounced),                         \
        STATE(Instance, member.fua), STATE(Instance, member.out),                                  \
        STATE(Instance, member.alone), STATE(Instance, member.offset),                             \
        STATE(Instance, member.left), STATE(Instance, member.chunk),                               \
        STATE_MOST(Instance, member.piece, IDE_BUFFER),                                            \
        STATE_MOST(Instance, member.fill, IDE_BUFFER), STATE_MOST(Instance, member.raw, 512),      \
        STATE_MOST(Instance, member.position, IDE_BUFFER),                                         \
        STATE_MOST(Instance, member.piece_end, IDE_BUFFER),                                        \
        STATE_MOST(Instance, member.end, IDE_BUFFER), STATE(Instance, member.buffer)

extern const BusType ide_bus_type;

/* For controllers. */
void ide_channel_init(IdeChannel *channel, Device *controller, const char *name, unsigned number,
                      const IdeControllerOps *ops);
void ide_channel_reset(IdeChannel *channel);
/* Sets up regions of its command block and its control port. */
void ide_ports_init(IdeChannel *channel, MemoryRegion *command, MemoryRegion *control);
/* Registers; offset 0 has 2 bytes, the others one. */
uint16_t ide_read(IdeChannel *channel, unsigned offset);
void ide_write(IdeChannel *channel, unsigned offset, uint16_t value);
uint8_t ide_read_alternate_status(const IdeChannel *channel);
void ide_write_control(IdeChannel *channel, uint8_t value);
/* The DMA engine was started. */
void ide_dma_started(IdeChannel *channel);
void ide_update_irq(IdeChannel *channel);

/* For realize, unrealize, reset, state_check and state_loaded of drives. */
bool ide_drive_realize(IdeDrive *drive, const IdeDriveOps *ops, bool read_only, GError **error);
void ide_drive_unrealize(IdeDrive *drive);
void ide_drive_reset(IdeDrive *drive);
bool ide_drive_state_check(IdeDrive *drive, GError **error);
void ide_drive_state_loaded(IdeDrive *drive);
static inline IdeDrive *ide_drive(Device *device)
{
    return container_of(device, IdeDrive, device);
}

/* For commands. Ends with an interrupt. */
void ide_finish(IdeDrive *drive);
/* Ends with an error and an interrupt. */
void ide_fail(IdeDrive *drive, uint8_t error);
void ide_raise_irq(IdeDrive *drive);
void ide_set_signature(IdeDrive *drive);
/* The transfer mode that SET FEATURES asks for; 0: by PIO. False when no drive here has it, and `mode` stays. */
bool ide_choose_mode(uint8_t value, uint8_t *mode);
/* Gives the host `bytes` of the buffer, `piece` for each interrupt, or by DMA. */
void ide_send_buffer(IdeDrive *drive, uint32_t bytes, uint32_t piece, bool dma);
/* Has the host fill `bytes` of the buffer. irq: it is asked by an interrupt. */
void ide_receive_buffer(IdeDrive *drive, uint32_t bytes, uint32_t piece, bool dma, bool irq);
/*
 * Moves [offset, offset + bytes) of the disk; piece bytes for each DRQ, fill for each request of PIO. Sets no
 * interrupt at the end of a PIO read unless last_irq.
 */
void ide_transfer(IdeDrive *drive, IdeIo io, uint64_t offset, uint64_t bytes, uint32_t piece,
                  uint32_t fill, bool dma);
/* One request without data for the host; then `transferred`. */
void ide_request_alone(IdeDrive *drive, IdeIo io, uint64_t offset, uint64_t bytes);
void ide_put_string(uint8_t *words, const char *text, unsigned size);

/* The end of a software reset that had to wait. */
void ide_end_reset(IdeDrive *drive);

/* transfer.c, for core.c. */
void ide_piece_done(IdeDrive *drive);
void ide_dma_next(IdeDrive *drive);
void ide_submit(IdeDrive *drive);
/* Forgets what is under way; a request in flight is dropped when it comes. */
void ide_stop_transfer(IdeDrive *drive);

#endif
