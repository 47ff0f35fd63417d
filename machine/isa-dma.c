/* SPDX-License-Identifier: MIT */
/* Who has which DMA channel, and calls of those whose channel is ready, in the main loop. */
#include "machine/isa-dma.h"

#include "base/error.h"
#include "machine/private.h"

typedef struct {
    IsaDmaReady *ready;
    void *opaque;
} Client;

struct IsaDmaState {
    Machine *machine;
    const IsaDmaController *controller;
    void *opaque;
    Client client[ISA_DMA_CHANNELS];
    uint8_t waiting; /* bit per channel whose client is to be called */
    Timer timer;
};

static void call_clients(void *opaque)
{
    IsaDmaState *state = opaque;

    for (unsigned i = 0; i < ISA_DMA_CHANNELS; i++) {
        if (state->waiting >> i & 1) {
            state->waiting &= ~(1u << i);
            if (state->client[i].ready) {
                state->client[i].ready(state->client[i].opaque);
            }
        }
    }
}

static void free_state(void *opaque)
{
    IsaDmaState *state = opaque;

    timer_cancel(&state->timer);
    g_free(state);
}

static IsaDmaState *state_of(Machine *machine)
{
    IsaDmaState *state = machine->private->isa_dma;

    if (!state) {
        state = machine->private->isa_dma = g_new0(IsaDmaState, 1);
        state->machine = machine;
        timer_init(&state->timer, machine, call_clients, state);
        machine_on_free(machine, free_state, state);
    }
    return state;
}

bool isa_dma_claim(Machine *machine, unsigned channel, IsaDmaReady *ready, void *opaque,
                   GError **error)
{
    IsaDmaState *state = state_of(machine);

    if (channel >= ISA_DMA_CHANNELS || channel == 4) {
        return error_fail(error, KASO_ERROR_INVALID, "DMA channel %u: they are 0 to 3 and 5 to 7",
                          channel);
    }
    if (!state->controller) {
        return error_fail(error, KASO_ERROR_INVALID, "the machine has no ISA DMA controller");
    }
    if (state->client[channel].ready) {
        return error_fail(error, KASO_ERROR_INVALID, "DMA channel %u is another device's already",
                          channel);
    }
    state->client[channel] = (Client){ ready, opaque };
    return true;
}

void isa_dma_release(Machine *machine, unsigned channel)
{
    IsaDmaState *state = state_of(machine);

    isa_dma_request(machine, channel, false);
    state->client[channel] = (Client){ 0 };
    state->waiting &= ~(1u << channel);
}

void isa_dma_request(Machine *machine, unsigned channel, bool level)
{
    IsaDmaState *state = state_of(machine);

    if (state->controller) {
        state->controller->request(state->opaque, channel, level);
    }
}

size_t isa_dma_transfer(Machine *machine, unsigned channel, IsaDmaDirection direction, void *buffer,
                        size_t size, bool *end)
{
    IsaDmaState *state = state_of(machine);

    *end = false;
    return state->controller
               ? state->controller->transfer(state->opaque, channel, direction, buffer, size, end)
               : 0;
}

void isa_dma_set_controller(Machine *machine, const IsaDmaController *controller, void *opaque)
{
    IsaDmaState *state = state_of(machine);

    state->controller = controller;
    state->opaque = opaque;
}

void isa_dma_ready(Machine *machine, unsigned channel)
{
    IsaDmaState *state = state_of(machine);

    state->waiting |= 1u << channel;
    if (!timer_is_armed(&state->timer)) {
        timer_arm(&state->timer, clock_now_ns(machine));
    }
}
