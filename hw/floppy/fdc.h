/* SPDX-License-Identifier: MIT */
/* The floppy bus: a controller's (isa-fdc) view of its drives (floppy). Under the machine lock. */
#ifndef HW_FLOPPY_FDC_H
#define HW_FLOPPY_FDC_H

#include "hw/block/disk.h"

enum { FLOPPY_DRIVES = 2, FLOPPY_SECTOR = 512 };

typedef enum { FLOPPY_AUTO, FLOPPY_144, FLOPPY_288, FLOPPY_120, FLOPPY_NONE } FloppyType;

/* How a disk is written: cylinders, heads, sectors of a track, and the data rate as CCR has it. */
typedef struct {
    uint8_t cylinders, heads, sectors;
    uint8_t rate;
    uint8_t type; /* FloppyType of the drive that it is for */
} FloppyFormat;

typedef struct {
    Device device;              /* first */
    const FloppyFormat *format; /* of the medium; NULL: there is none, or none that fits */
    uint32_t unit;
    int type; /* FloppyType; FLOPPY_AUTO until realized */
    Disk disk;
    /* State. */
    uint8_t cylinder; /* where the heads are */
    bool changed;     /* DSKCHG: the medium is another one than at the last step */
} Floppy;

typedef struct {
    Bus bus;
    Floppy *drives[FLOPPY_DRIVES];
    /* The controller's properties, for drives that have none of their own. */
    int type[FLOPPY_DRIVES], fallback; /* FloppyType */
    int32_t bootindex[FLOPPY_DRIVES];
} FloppyBus;

extern const BusType floppy_bus_type;
extern const char *const floppy_type_names[];

bool floppy_present(const Floppy *floppy);
/* Moves the heads; what a disk's presence makes of DSKCHG. */
void floppy_step_to(Floppy *floppy, unsigned cylinder);
/* The heads are there, as far as the controller knows: no step. */
void floppy_place(Floppy *floppy, unsigned cylinder);

#endif
