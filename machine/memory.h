/* SPDX-License-Identifier: MIT */
/*
 * The memory map: a tree of regions (ram, rom, io, alias, container) with priorities, flattened to
 * sorted ranges that readers use without a lock.
 *
 * Threads: the map is changed under the machine lock; lookups and accesses may run on any thread.
 * io callbacks run under the machine lock unless the region is lock-free.
 */
#ifndef MACHINE_MEMORY_H
#define MACHINE_MEMORY_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Machine Machine;
typedef struct MemoryRegion MemoryRegion;
typedef struct AddressSpace AddressSpace;

typedef enum {
    MEMORY_OK,
    MEMORY_DECODE_ERROR, /* nothing is mapped there */
    MEMORY_DEVICE_ERROR, /* the device refused (size, alignment, or its own reasons) */
} MemoryResult;

/* What an access is known by beyond its address. */
typedef struct {
    uint16_t requester; /* PCI requester id (bus:dev.fn) of DMA and MSI; 0 otherwise */
    int16_t vcpu;       /* index of the vCPU, -1 for DMA */
    bool secure, user;
    const struct Device *device; /* whose DMA it is; NULL: no device's (a vCPU, a debugger, a loader) */
} MemoryAttributes;

#define MEMORY_ATTRIBUTES_DMA        ((MemoryAttributes){ .vcpu = -1 })
#define MEMORY_ATTRIBUTES_OF(dma_by) ((MemoryAttributes){ .vcpu = -1, .device = (dma_by) })

/* A part of a region. */
typedef struct {
    uint32_t offset, size;
} MemoryPlace;

typedef struct {
    /* offset is within the region; size is 1, 2, 4 or 8 and within access limits below. */
    MemoryResult (*read)(void *opaque, uint64_t offset, uint64_t *value, unsigned size,
                         MemoryAttributes attributes);
    MemoryResult (*write)(void *opaque, uint64_t offset, uint64_t value, unsigned size,
                          MemoryAttributes attributes);
    /*
     * Sizes that the callbacks take; 0 means 1 and 8. Guest accesses of other sizes are split or
     * widened (reads) by the dispatch when `strict` is not set, and are MEMORY_DEVICE_ERROR when it
     * is. Unaligned accesses are split into aligned ones unless `unaligned`.
     */
    uint8_t size_min, size_max;
    bool strict, unaligned, big_endian;
    /*
     * The device decodes an access by where it begins, and takes all of it (up to size_max) although
     * another region covers bytes in its midst, as PCI's CONFIG_ADDRESS does around port 0xcf9.
     */
    bool whole;
    bool lock_free; /* callbacks do not need the machine lock */
    bool at_once;   /* a write may interrupt the vCPU that makes it, before its next instruction */
    /*
     * Places whose writes may come late, because they do nothing that anybody sees before the next access: indices, pixels. They come
     * before any other access of a vCPU, and before memory_flush_late returns. Ends with size 0; NULL: none.
     */
    const MemoryPlace *late;
} MemoryOps;

typedef enum { MEMORY_CONTAINER, MEMORY_RAM, MEMORY_ROM, MEMORY_IO, MEMORY_ALIAS } MemoryKind;

/* Regions are owned by whoever initialised them and must outlive their mapping. */
struct MemoryRegion {
    const char *name;
    MemoryKind kind;
    uint64_t size;
    uint8_t *host;           /* ram and rom: where the bytes are in this process */
    uint64_t ram_offset;     /* ram and rom: offset in the machine's RAM window */
    const MemoryOps *ops;    /* io; for rom: writes go here when not NULL (flash commands) */
    void *opaque;
    MemoryRegion *target;    /* alias */
    uint64_t target_offset;  /* alias */
    MemoryRegion *parent;
    uint64_t address;        /* within parent */
    int priority;            /* among siblings; the higher wins */
    bool enabled;
    bool readonly;           /* writes through it are guest errors, whatever it shows */
    MemoryRegion *written;   /* alias: RAM that writes through it go to instead; NULL: none */
    uint64_t written_offset; /* in `written` */
    bool from_file;          /* ram: the bytes are a memory back end's file */
    bool rom_io;             /* rom in device mode: reads go to ops too (see memory_region_set_rom_io) */
    Machine *machine;
    GPtrArray *children;     /* container */
};

void memory_region_init_container(MemoryRegion *region, Machine *machine, const char *name,
                                  uint64_t size);
/* Zero-filled RAM; never freed before the machine. */
bool memory_region_init_ram(MemoryRegion *region, Machine *machine, const char *name, uint64_t size,
                            GError **error);
/* As ram, but guest writes go to ops->write, or are a guest error when ops is NULL. */
bool memory_region_init_rom(MemoryRegion *region, Machine *machine, const char *name, uint64_t size,
                            const MemoryOps *ops, void *opaque, GError **error);
void memory_region_init_io(MemoryRegion *region, Machine *machine, const char *name, uint64_t size,
                           const MemoryOps *ops, void *opaque);
void memory_region_init_alias(MemoryRegion *region, Machine *machine, const char *name,
                              MemoryRegion *target, uint64_t target_offset, uint64_t size);

void memory_region_add(MemoryRegion *container, uint64_t address, MemoryRegion *child, int priority);
void memory_region_remove(MemoryRegion *child);
/* For regions that registers show, move and hide: there when `shown`, else nowhere. Free where nothing changes. */
void memory_region_place(MemoryRegion *container, uint64_t address, MemoryRegion *child,
                         int priority, bool shown);
void memory_region_set_enabled(MemoryRegion *region, bool enabled);
void memory_region_set_address(MemoryRegion *region, uint64_t address);
/* What is seen through the region (an alias, a container or RAM itself) cannot be written: shadowed ROM. */
void memory_region_set_readonly(MemoryRegion *region, bool readonly);
/* Writes through an alias go to RAM at that offset, and reads as ever: ROM that is being shadowed. */
void memory_region_set_written(MemoryRegion *alias, MemoryRegion *ram, uint64_t offset);
/* Switches a rom between direct reads and reads through ops (flash in command mode). */
void memory_region_set_rom_io(MemoryRegion *region, bool io);
/* Batches map changes: the flat view is rebuilt once at the outermost end. */
void memory_transaction_begin(Machine *machine);
void memory_transaction_end(Machine *machine);

/* One range of the flat view. */
typedef struct {
    uint64_t start, size;     /* guest physical */
    MemoryRegion *region;     /* never an alias or a container */
    uint64_t offset;          /* of start within region */
    bool readonly;            /* seen through a region that is */
    MemoryRegion *written;    /* RAM that has the writes; NULL: `region` */
    uint64_t written_offset;  /* of start within it */
} MemoryRange;

/* Whether reads (or writes) of the range are plain accesses to the region's host bytes. */
static inline bool memory_range_direct(const MemoryRange *range, bool write)
{
    const MemoryRegion *region = range->region;

    if (write && range->written) {
        return false;
    }
    return region->kind == MEMORY_RAM ? !write || !range->readonly
                                      : region->kind == MEMORY_ROM && !write && !region->rom_io;
}

typedef struct {
    uint64_t generation;
    size_t count;
    _Atomic uint32_t hint;    /* index of the range that was found last */
    MemoryRange ranges[];     /* sorted by start, not overlapping */
} FlatView;

/* An address space is a root container plus its published flat view (system memory, PCI I/O …). */
struct AddressSpace {
    const char *name;
    MemoryRegion *root;
    Machine *machine;
    /*
     * Nobody answers, and nobody complains, where nothing is mapped or a device refuses: reads give ones,
     * writes vanish. Ports are like this; on memory a board says so before vCPUs run.
     */
    bool open_bus;
    _Atomic bool vcpu_view;   /* some vCPU has run with it: changes reach the accelerator */
    _Atomic(FlatView *) view; /* old views live until all threads have passed a quiet point */
};

/* For spaces beside the machine's two; whoever owns one destroys it before it is freed. */
void address_space_init(AddressSpace *space, Machine *machine, MemoryRegion *root, const char *name);
void address_space_destroy(AddressSpace *space);
/*
 * The range that holds an address, or NULL. Callers are vCPU threads, for whom the pointer is good
 * until their next safe point, or hold the machine lock, until they give it up.
 */
const MemoryRange *address_space_find(AddressSpace *space, uint64_t address);

/* One access of 1..8 bytes in guest (little-endian) order; splits, crosses and widens as needed. */
MemoryResult address_space_read(AddressSpace *space, uint64_t address, uint64_t *value,
                                unsigned size, MemoryAttributes attributes);
MemoryResult address_space_write(AddressSpace *space, uint64_t address, uint64_t value,
                                 unsigned size, MemoryAttributes attributes);
/* Any length; stops at the first failing part and returns its result. Marks RAM dirty. */
MemoryResult address_space_read_bytes(AddressSpace *space, uint64_t address, void *buffer,
                                      uint64_t size, MemoryAttributes attributes);
MemoryResult address_space_write_bytes(AddressSpace *space, uint64_t address, const void *buffer,
                                       uint64_t size, MemoryAttributes attributes);
/*
 * The host address of [address, address + *size) when it is RAM (or rom when !write); shrinks *size
 * to what is contiguous, 0 and NULL when it is not RAM. Writers call address_space_dirty after.
 */
void *address_space_map(AddressSpace *space, uint64_t address, uint64_t *size, bool write);
void address_space_dirty(AddressSpace *space, uint64_t address, uint64_t size);
/* The same of a device's DMA, which debuggers may be told of. */
void address_space_written(AddressSpace *space, const struct Device *device, uint64_t address, uint64_t size);

/*
 * Told of each access that is not RAM's, after it, on the thread that made it: range NULL: nothing is mapped there. Neither fn nor what it calls
 * may access memory.
 */
typedef struct {
    void (*fn)(void *opaque, AddressSpace *space, const MemoryRange *range, uint64_t address, unsigned size,
               bool write, MemoryResult result, MemoryAttributes attributes);
    void *opaque;
} MemoryObserver;
/* One at most; NULL: none. It must last as long as the machine. With the machine lock. */
void memory_set_observer(Machine *machine, const MemoryObserver *observer);

/* Calls fn after each publication of a new flat view of any space, with the machine lock held. */
void memory_add_listener(Machine *machine, void (*fn)(void *opaque, AddressSpace *space),
                         void *opaque);
/* Not from such a call. */
void memory_remove_listener(Machine *machine, const void *opaque);

/*
 * Watched pages. For each page (4 KiB) of RAM: does somebody want to know that it is written? Whoever writes
 * RAM other than by address_space_* says so: accelerators before the first of a guest's stores that they will not see, by
 * memory_watch_tag, everybody else after the write, by memory_ram_written. Where nobody watches this costs
 * one load. [any thread]
 */
typedef struct {
    /*
     * Guests' stores to these pages must be seen from now on; called when they are watched already. Must not
     * wait for vCPUs: what they store before they know is allowed for. NULL: there are no such stores.
     */
    void (*protect)(void *opaque, uint64_t ram_offset, uint64_t size);
    /* Whether all vCPUs know of what `protect` was called for. */
    bool (*settled)(void *opaque);
    /*
     * For accelerators that see no stores but can record them: from now on (or no longer) in this range; and what has
     * been recorded of it is to be said by memory_ram_dirty. NULL: they cannot.
     */
    void (*record)(void *opaque, uint64_t ram_offset, uint64_t size, bool on);
    void (*collect)(void *opaque, uint64_t ram_offset, uint64_t size);
    /* A page that memory_watch_code named was written, within the page. NULL: code is not watched. */
    void (*code_written)(void *opaque, uint64_t ram_offset, uint64_t size);
} MemoryWatchHooks;
/* The accelerator's; before vCPUs run. hooks must last. */
void memory_set_watch_hooks(Machine *machine, const MemoryWatchHooks *hooks, void *opaque);
/* Whether a guest may store to the page unseen, until `protect` is called. */
bool memory_watch_tag(Machine *machine, uint64_t ram_offset);
/* Watches the page for code_written. true: unseen stores must be stopped first, then memory_watch_untag. */
bool memory_watch_code(Machine *machine, uint64_t ram_offset);
void memory_watch_untag(Machine *machine, uint64_t ram_offset);
void memory_unwatch_code(Machine *machine, uint64_t ram_offset);
bool memory_is_watched_code(Machine *machine, uint64_t ram_offset);
/* RAM was written. */
void memory_ram_written(Machine *machine, uint64_t ram_offset, uint64_t size);
/* RAM will be written: the part that concerns dirty pages. */
void memory_ram_dirty(Machine *machine, uint64_t ram_offset, uint64_t size);
/* The RAM window in this process: the host address of ram_offset 0. Fixed for the machine's life. */
uint8_t *memory_ram_base(Machine *machine);
uint64_t memory_ram_window(Machine *machine);
/* A piece of the window: RAM or ROM that a region was given. */
typedef struct {
    const MemoryRegion *region; /* NULL: it is gone, with what it was in; the piece is zero and stays */
    uint64_t ram_offset, size;
    bool from_file;
} MemoryPiece;
/* Elements MemoryPiece, in order of creation. With the machine lock. */
const GArray *memory_pieces(Machine *machine);
/* All regions within [start, start + size) of the process are about to be freed. */
void memory_forget_regions(Machine *machine, const void *start, size_t size);

/*
 * Dirty pages, by client: written since the range was started or the page was last tested. A page that a vCPU
 * wrote is perhaps reported once more than it was written. Ranges of one client do not overlap.
 */
typedef enum { DIRTY_DISPLAY, DIRTY_MIGRATION, DIRTY_CLIENT_COUNT } DirtyClient;
void memory_dirty_start(Machine *machine, DirtyClient client, uint64_t ram_offset, uint64_t size);
void memory_dirty_stop(Machine *machine, DirtyClient client, uint64_t ram_offset, uint64_t size);
bool memory_dirty_test_and_clear(Machine *machine, DirtyClient client, uint64_t ram_offset,
                                 uint64_t size);
/*
 * Whether all vCPUs know of the pages that are watched as of now. Who reads pages after memory_dirty_start waits for it, or
 * may miss a store that came after the reading.
 */
bool memory_dirty_settled(Machine *machine);
/* As test_and_clear, and sets pages[i] of those that are dirty; the first holds ram_offset. The rest stay as they are. */
bool memory_dirty_collect(Machine *machine, DirtyClient client, uint64_t ram_offset, uint64_t size,
                          bool *pages);

/*
 * Doorbells: places of io regions at which the accelerator may turn a guest's writes of that size (and value, with match) into
 * signals of an eventfd. Their owners watch the descriptor, and still take writes that come the ordinary way. All with the
 * machine lock; a doorbell lasts until it is removed.
 */
typedef struct {
    MemoryRegion *region;
    uint64_t offset, value;
    uint8_t size;
    bool match;
    int fd;
} MemoryDoorbell;
/* false: this accelerator rings none. */
bool memory_add_doorbell(const MemoryDoorbell *doorbell);
void memory_remove_doorbell(const MemoryDoorbell *doorbell);
/* For accelerators: const MemoryDoorbell *; and what is called when they change. NULL: none rings. */
const GPtrArray *memory_doorbells(Machine *machine);
void memory_set_doorbell_hook(Machine *machine, void (*changed)(void *opaque), void *opaque);

/* Before somebody who is no vCPU looks at what late writes change (MemoryOps.late). With the machine lock. */
void memory_flush_late(Machine *machine);
/* For accelerators that have them come late; NULL: they do not. */
void memory_set_late_hook(Machine *machine, void (*flush)(void *opaque), void *opaque);

/* For `info mtree` (flat: the flat views instead of the tree). Caller frees. */
char *memory_describe(Machine *machine, bool flat);

#endif
