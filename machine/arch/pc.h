/* SPDX-License-Identifier: MIT */
/*
 * How a PC's classic devices are wired: what a board needs to know of their ports, inputs and outputs. Numbers in the
 * tables are those of device_map_io, device_map, DeviceType.input and device_connect_irq; addresses are where PCs have them.
 *
 *   isa-i8259     io 0: 0x20 (master), 1: 0xa0 (slave), 2: 0x4d0 (ELCR)
 *                 inputs: ISA interrupts 0 to 15; output 0: INT; acknowledge
 *   apic          one for each CPU, property cpu=INDEX; the APIC raises X86_LINE_INTR and posts events itself
 *                 mmio 0 of the first one of a machine: 0xfee00000 (1 MiB) of system memory: MSIs, and the page of the
 *                 accessing CPU. An APIC whose page is elsewhere (IA32_APIC_BASE) gives its CPU views of its own
 *                 inputs: ApicInput; output 0: EOI messages, to IOAPIC_INPUT_EOI; acknowledge, and acknowledges 0: the PIC
 *                 vcpu_connect_acknowledge(vcpu, apic)
 *   ioapic        mmio 0: 0xfec00000; inputs: pins 0 to 23 and IOAPIC_INPUT_EOI. Delivers by MSI, so through mmio 0 of apic
 *   isa-pit       io 0: 0x40, 1: 0x61 (gate and speaker); output 0: OUT of channel 0
 *   mc146818rtc   io 0: 0x70; output 0: IRQ. CMOS: hw/rtc/mc146818rtc.h
 *   hpet          mmio 0: 0xfed00000; inputs: HpetInput, to which the PIT and the RTC go; outputs 0 to 23: interrupts by
 *                 their number on the I/O APIC, but 0 is the PIT's ISA interrupt 0
 *   i8257         io 0: 0x00, 1: 0x81, 2: 0x87, 3: 0x89, 4: 0x8f, 5: 0xc0. Devices: machine/isa-dma.h
 *   i8042         io 0: 0x60, 1: 0x64; inputs: I8042Input; outputs: I8042Irq
 *   vmmouse       on the bus of vmport; output 0: I8042_INPUT_STIR_MOUSE
 */
#ifndef MACHINE_ARCH_PC_H
#define MACHINE_ARCH_PC_H

#define PC_APIC_ADDRESS   0xfee00000u
#define PC_IOAPIC_ADDRESS 0xfec00000u
#define PC_HPET_ADDRESS   0xfed00000u

enum { PC_GSI_COUNT = 24 };

typedef enum { APIC_INPUT_LINT0, APIC_INPUT_LINT1, APIC_INPUT_COUNT } ApicInput;

/* The "level" of this input is a vector: some local APIC has ended a level-triggered interrupt. [any thread] */
enum { IOAPIC_INPUT_EOI = 0x100 };

typedef enum { HPET_INPUT_PIT, HPET_INPUT_RTC } HpetInput;

typedef enum { I8042_IRQ_KEYBOARD, I8042_IRQ_MOUSE, I8042_IRQ_COUNT } I8042Irq;

/* A rise has the mouse send a packet, whether or not anything is new. */
typedef enum { I8042_INPUT_STIR_MOUSE } I8042Input;

#endif
