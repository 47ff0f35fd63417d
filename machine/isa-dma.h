/* SPDX-License-Identifier: MIT */
/*
 * DMA on the ISA bus, between devices that have a channel and the machine's DMA controller. Under the machine lock.
 *
 * A device claims its channel, raises its request when it has or wants data, and is called back, from the main loop, as
 * often as the channel can move some: because the request rose, or the guest unmasked it. There, and
 * whenever else it likes, it moves data by isa_dma_transfer, and lets the request go when it is done.
 */
#ifndef MACHINE_ISA_DMA_H
#define MACHINE_ISA_DMA_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Machine Machine;

enum { ISA_DMA_CHANNELS = 8 }; /* 4 to 7 move 16-bit words; 4 is the cascade */

typedef enum { ISA_DMA_TO_MEMORY, ISA_DMA_FROM_MEMORY } IsaDmaDirection;

typedef void IsaDmaReady(void *opaque);

/* For devices. */
bool isa_dma_claim(Machine *machine, unsigned channel, IsaDmaReady *ready, void *opaque,
                   GError **error);
void isa_dma_release(Machine *machine, unsigned channel);
void isa_dma_request(Machine *machine, unsigned channel, bool level);
/*
 * Moves up to `size` bytes (of whole words) as far as the guest has programmed the channel for this direction; what it wants verified is
 * read and thrown away. Returns how many; *end tells that the channel's count has run out (terminal count).
 */
size_t isa_dma_transfer(Machine *machine, unsigned channel, IsaDmaDirection direction, void *buffer,
                        size_t size, bool *end);

/* For the controller. */
typedef struct {
    void (*request)(void *opaque, unsigned channel, bool level);
    size_t (*transfer)(void *opaque, unsigned channel, IsaDmaDirection direction, void *buffer,
                       size_t size, bool *end);
} IsaDmaController;
/* NULL: there is none any more. */
void isa_dma_set_controller(Machine *machine, const IsaDmaController *controller, void *opaque);
/* The channel can move data and its request is active: its device will be called. */
void isa_dma_ready(Machine *machine, unsigned channel);

#endif
