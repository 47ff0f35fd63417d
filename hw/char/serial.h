/* SPDX-License-Identifier: MIT */
/*
 * The 16550A UART (National Semiconductor PC16550D), for devices that give it a place. Characters take no
 * time: the divisor is kept but has no effect, and the receive timeout has always passed. The interrupt does
 * not wait for OUT2, which PCs use as its gate: too many guests never set it.
 *
 * Not modelled: parity and framing errors, DMA mode.
 */
#ifndef HW_CHAR_SERIAL_H
#define HW_CHAR_SERIAL_H

#include "machine/chardev.h"
#include "machine/clock.h"
#include "machine/device.h"

enum { SERIAL_FIFO_DEPTH = 16, SERIAL_PORTS = 8, SERIAL_TIMEOUT_VERSION = 1 };

/* First member of a device's structure: the core finds the UART by the Device. */
typedef struct {
    Device device;
    IrqLine irq;
    Chardev *chardev;
    uint8_t rx_fifo[SERIAL_FIFO_DEPTH], tx_fifo[SERIAL_FIFO_DEPTH];
    uint8_t rx_head, rx_count, tx_count;
    uint8_t ier, fcr, lcr, mcr, lsr, msr_delta, scr;
    uint8_t break_at;        /* how many characters come before a break in the FIFO, 0xff: none is there */
    bool thr_interrupt;      /* the transmitter ran empty, and IIR has not been read since */
    uint16_t divisor;
    Timer timeout;  /* runs while the FIFO's characters are too few to be told of */
    bool timed_out; /* nothing came or was read for four characters' time */
} Serial;

extern const Register serial_registers[];

/* All registers and FIFOs, for the state table of the device, whose version is SERIAL_TIMEOUT_VERSION at least. */
#define SERIAL_STATE(Instance, serial)                                                             \
    STATE(Instance, serial.rx_fifo), STATE(Instance, serial.tx_fifo),                             \
    STATE(Instance, serial.rx_head), STATE(Instance, serial.rx_count),                             \
    STATE(Instance, serial.tx_count), STATE(Instance, serial.ier), STATE(Instance, serial.fcr),    \
    STATE(Instance, serial.lcr), STATE(Instance, serial.mcr), STATE(Instance, serial.lsr),         \
    STATE(Instance, serial.msr_delta), STATE(Instance, serial.scr),                                \
    STATE(Instance, serial.break_at), STATE(Instance, serial.thr_interrupt),                       \
    STATE(Instance, serial.divisor),                                                               \
    STATE_SINCE(SERIAL_TIMEOUT_VERSION, Instance, serial.timed_out),                               \
    STATE_TIMER_AS_SINCE(SERIAL_TIMEOUT_VERSION, "serial.timeout", Instance, serial.timeout)

/* For realize: adds output 0 and attaches the character device, if there is one. */
bool serial_realize(Serial *serial, GError **error);
void serial_unrealize(Serial *serial);
void serial_reset(Serial *serial);
void serial_state_loaded(Serial *serial);

#endif
