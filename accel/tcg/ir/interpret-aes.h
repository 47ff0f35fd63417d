/* SPDX-License-Identifier: MIT */
/* AES round steps of FIPS 197 on a state in memory order. */
#ifndef ACCEL_TCG_IR_INTERPRET_AES_H
#define ACCEL_TCG_IR_INTERPRET_AES_H

#include "accel/tcg/ir/ir.h"

V128 ir_aes_encrypt_round(V128 state);  /* SubBytes(ShiftRows(state)) */
V128 ir_aes_decrypt_round(V128 state);  /* InvSubBytes(InvShiftRows(state)) */
V128 ir_aes_mix_columns(V128 state, bool inverse);

#endif
