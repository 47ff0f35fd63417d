/* SPDX-License-Identifier: MIT */
/* Random numbers that a guest sees; see the header. With a seed they are SplitMix64's. */
#include "machine/random.h"

#include <string.h>
#include <sys/random.h>

#include "machine/machine.h"

#define RANDOM_DATA "random"

typedef struct {
    GMutex lock; /* of `devices`; a vCPU's stream is its thread's */
    uint64_t devices;
    unsigned vcpu_count;
    uint64_t vcpus[];
} SeededRandom;

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint64_t next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15;
    return mix(*state);
}

static void free_random(void *opaque)
{
    SeededRandom *random = opaque;

    g_mutex_clear(&random->lock);
    g_free(random);
}

void machine_seed_random(Machine *machine, uint64_t seed)
{
    unsigned vcpus = machine->config.vcpus;
    SeededRandom *random = g_malloc(sizeof *random + vcpus * sizeof random->vcpus[0]);

    g_mutex_init(&random->lock);
    random->devices = mix(seed);
    random->vcpu_count = vcpus;
    for (unsigned i = 0; i < vcpus; i++) {
        random->vcpus[i] = mix(random->devices + i + 1);
    }
    machine_set_data(machine, RANDOM_DATA, random);
    machine_on_free(machine, free_random, random);
}

bool machine_random(Machine *machine, void *buffer, size_t size)
{
    SeededRandom *random = machine_get_data(machine, RANDOM_DATA);
    uint8_t *bytes = buffer;

    while (!random && size) {
        ssize_t got = getrandom(bytes, size, GRND_NONBLOCK);

        if (got < 0) {
            return false;
        }
        bytes += got;
        size -= (size_t)got;
    }
    if (!size) {
        return true;
    }
    g_mutex_lock(&random->lock);
    while (size) {
        uint64_t value = next(&random->devices);
        size_t n = MIN(size, sizeof value);

        memcpy(bytes, &value, n);
        bytes += n;
        size -= n;
    }
    g_mutex_unlock(&random->lock);
    return true;
}

uint64_t vcpu_random(Vcpu *vcpu)
{
    SeededRandom *random = machine_get_data(vcpu->machine, RANDOM_DATA);

    return random && vcpu->index < random->vcpu_count
               ? next(&random->vcpus[vcpu->index])
               : (uint64_t)g_random_int() << 32 | g_random_int();
}
