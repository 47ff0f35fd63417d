/* SPDX-License-Identifier: MIT */
/* The parts of the HDA controllers: streams (intel-hda-stream.c) and the rest. */
#ifndef HW_AUDIO_INTEL_HDA_H
#define HW_AUDIO_INTEL_HDA_H

#include "hw/audio/hda.h"
#include "hw/pci/pci.h"

enum {
    HDA_INPUTS = 4,
    HDA_OUTPUTS = 4,
    HDA_STREAMS = HDA_INPUTS + HDA_OUTPUTS, /* descriptors, the inputs first */

    HDA_STREAM_RESET = 1 << 0,
    HDA_STREAM_RUN = 1 << 1,
    HDA_STREAM_STATUS_COMPLETION = 1 << 2,
    HDA_STREAM_STATUS_READY = 1 << 5,
};

/* A stream descriptor (3.3.35 and on). */
typedef struct {
    uint8_t control, control_high; /* bits 7:0, and 23:16: the stream's number in 23:20 */
    uint8_t status;
    uint32_t position, cyclic_length;
    uint16_t last, format;
    uint32_t base_low, base_high; /* of the list of buffers */
    /* Where it is. */
    uint16_t entry;
    uint8_t loaded; /* the three are entry's */
    uint64_t address;
    uint32_t length, flags;
    uint32_t into; /* bytes of it that are done */
} HdaStream;

typedef struct {
    PciDevice pci;
    MemoryRegion region, common_region, stream_region, alias; /* alias: both again, at 0x2000 */
    HdaBus link;
    uint32_t control, interrupt_control;
    uint16_t wake_enable, status_change;
    uint32_t corb_low, corb_high, rirb_low, rirb_high, position_low, position_high;
    uint16_t corb_write, corb_read, rirb_write, response_count,
        responses; /* responses: since the last interrupt */
    uint8_t corb_control, corb_status, rirb_control, rirb_status;
    uint32_t immediate_command, immediate_response;
    uint16_t immediate_status;
    HdaStream streams[HDA_STREAMS];
    bool interrupted; /* as of the last message */
    bool in_commands; /* they are being carried out: not from within */
    /* Properties. */
    int msi;
    uint32_t debug;
    bool old_msi_address;
} IntelHda;

static inline IntelHda *intel_hda(Device *device)
{
    return container_of(pci_device(device), IntelHda, pci);
}

void intel_hda_update_irq(IntelHda *hda);
/* Whether a stream holds the interrupt up. */
bool intel_hda_interrupts(const IntelHda *hda, unsigned stream);

/* intel-hda-stream.c */
bool intel_hda_stream_runs(Device *device, unsigned stream, bool output);
size_t intel_hda_stream_move(Device *device, unsigned stream, bool output, uint8_t *data,
                             size_t bytes);
size_t intel_hda_stream_until_event(Device *device, unsigned stream, bool output);
size_t intel_hda_stream_unseen(Device *device, unsigned stream, bool output);
/* Tells the codecs that a descriptor's run bit or number may have changed. */
void intel_hda_stream_notify(IntelHda *hda, unsigned index);
/* Brings what reads of a descriptor show up to now. */
void intel_hda_stream_sync(IntelHda *hda, unsigned index);
void intel_hda_stream_reset(IntelHda *hda, unsigned index);
/* Registers of the descriptors, for the table. */
extern const Register intel_hda_stream_registers[];
extern const StateField intel_hda_stream_state[];

#endif
