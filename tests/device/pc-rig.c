/* SPDX-License-Identifier: MIT */
#include "tests/device/pc-rig.h"

#include "machine/private.h"

static const Target idle_target = { .name = "idle", .cpu_size = sizeof(Vcpu) };
static const CpuModel idle_model = { .name = "idle", .target = &idle_target };

static bool idle_build(Machine *machine, void *board, GError **error)
{
    return machine_map_ram(machine, 0, error) && machine_create_vcpus(machine, error);
}

static const Board idle_board = { .name = "idle",
                                  .instance_size = sizeof(Device),
                                  .build = idle_build };

static void set_clock(PcRig *rig, int64_t ns)
{
    atomic_store(&rig->machine->private->clock.base_ns, ns);
}

void pc_rig_open(PcRig *rig)
{
    MachineConfig config = { .target = &idle_target,
                             .board = &idle_board,
                             .cpu_model = &idle_model,
                             .vcpus = PC_RIG_CPUS,
                             .ram_bytes = PC_RIG_RAM_BYTES,
                             .rtc_clock = RTC_CLOCK_VM,
                             .rtc_base_s = 1000000 - 1 };
    g_autoptr(GError) error = NULL;

    *rig = (PcRig){ .machine = machine_new(&config) };
    machine_build(rig->machine, &error);
    g_assert_no_error(error);
    machine_lock(rig->machine);
    set_clock(rig, 1000000000);
}

void pc_rig_close(PcRig *rig)
{
    machine_unlock(rig->machine);
    machine_free(rig->machine);
}

Device *pc_rig_add(PcRig *rig, const char *type, const char *property)
{
    g_autoptr(GError) error = NULL;
    Device *device = device_create(rig->machine, NULL, type, NULL, NULL, &error);

    g_assert_no_error(error);
    if (property) {
        g_auto(GStrv) pair = g_strsplit(property, "=", 2);

        device_set(device, pair[0], pair[1], &error);
        g_assert_no_error(error);
    }
    device_realize(device, &error);
    g_assert_no_error(error);
    device_reset_tree(device);
    return device;
}

static void set_level(void *opaque, int number, int level)
{
    PcRig *rig = opaque;

    rig->rises[number] += level && !rig->levels[number];
    rig->levels[number] = level;
}

void pc_rig_watch(PcRig *rig, Device *device, unsigned index, int number)
{
    device_connect_irq(device, index, set_level, rig, number);
}

static Timer *first_timer(PcRig *rig)
{
    GPtrArray *heap = rig->machine->private->clock.heap;

    return heap->len ? heap->pdata[0] : NULL;
}

static void expire(Timer *timer)
{
    timer_cancel(timer);
    timer->handler(timer->opaque);
}

void pc_rig_advance(PcRig *rig, int64_t ns)
{
    int64_t end = clock_now_ns(rig->machine) + ns;
    Timer *timer;

    while ((timer = first_timer(rig)) && timer->deadline_ns <= end) {
        set_clock(rig, MAX(timer->deadline_ns, clock_now_ns(rig->machine)));
        expire(timer);
    }
    set_clock(rig, end);
}

void pc_rig_jump(PcRig *rig, int64_t ns)
{
    int64_t end = clock_now_ns(rig->machine) + ns;
    Timer *timer;

    set_clock(rig, end);
    while ((timer = first_timer(rig)) && timer->deadline_ns <= end) {
        expire(timer);
    }
}

uint8_t pc_rig_in(PcRig *rig, uint16_t port)
{
    uint64_t value = 0;

    address_space_read(&rig->machine->io_space, port, &value, 1, (MemoryAttributes){ .vcpu = 0 });
    return (uint8_t)value;
}

void pc_rig_out(PcRig *rig, uint16_t port, uint8_t value)
{
    address_space_write(&rig->machine->io_space, port, value, 1, (MemoryAttributes){ .vcpu = 0 });
}

uint32_t pc_rig_read(PcRig *rig, int cpu, uint64_t address)
{
    uint64_t value = 0;

    address_space_read(&rig->machine->memory_space, address, &value, 4,
                       (MemoryAttributes){ .vcpu = (int16_t)cpu });
    return (uint32_t)value;
}

void pc_rig_write(PcRig *rig, int cpu, uint64_t address, uint32_t value)
{
    address_space_write(&rig->machine->memory_space, address, value, 4,
                        (MemoryAttributes){ .vcpu = (int16_t)cpu });
}

Vcpu *pc_rig_cpu(PcRig *rig, unsigned index)
{
    return rig->machine->vcpus->pdata[index];
}

bool pc_rig_intr(PcRig *rig, unsigned index)
{
    return atomic_load(&pc_rig_cpu(rig, index)->interrupts) >> X86_LINE_INTR & 1;
}

int pc_rig_event(PcRig *rig, unsigned index, uint32_t *data)
{
    VcpuEvent event;

    if (!vcpu_take_event(pc_rig_cpu(rig, index), UINT32_MAX, &event)) {
        return -1;
    }
    if (data) {
        *data = event.data;
    }
    return (int)event.kind;
}
