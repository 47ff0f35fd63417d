/* SPDX-License-Identifier: MIT */
/* Asks the host for what semihosting offers, and ends with status 42, or with the number of the step that went wrong. Bare, for virt. */
        .macro  ask operation
        mov     w0, #\operation
        hlt     #0xf000
        .endm
        /* Goes on when x0 is that. */
        .macro  want step, value
        mov     x9, #\step
        cmp     x0, #\value
        b.ne    wrong
        .endm

        .globl  _start
_start: adr     x1, greeting
        ask     0x04                    /* WRITE0 */
        adr     x1, words               /* GET_CMDLINE */
        adr     x2, line
        mov     x3, #64
        stp     x2, x3, [x1]
        ask     0x15
        want    1, 0
        adr     x1, line
        ask     0x04
        /* A file is written, read back, measured, renamed and removed. */
        adr     x1, words
        adr     x2, name
        mov     x3, #4                  /* "w" */
        mov     x4, #(name_end - name - 1)
        stp     x2, x3, [x1]
        str     x4, [x1, #16]
        ask     0x01
        mov     x20, x0
        mov     x9, #2
        cmn     x0, #1
        b.eq    wrong
        adr     x1, words
        adr     x2, greeting
        mov     x3, #6
        stp     x20, x2, [x1]
        str     x3, [x1, #16]
        ask     0x05                    /* WRITE: nothing is left */
        want    3, 0
        adr     x1, words
        str     x20, [x1]
        ask     0x0c                    /* FLEN */
        want    4, 6
        adr     x1, words
        ask     0x02                    /* CLOSE */
        want    5, 0
        adr     x1, words
        ask     0x02                    /* once more: EBADF */
        cmn     x0, #1
        mov     x9, #6
        b.ne    wrong
        ask     0x13
        want    7, 9
        adr     x1, words
        adr     x2, name
        mov     x4, #(name_end - name - 1)
        stp     x2, xzr, [x1]
        str     x4, [x1, #16]
        ask     0x01                    /* OPEN "r" */
        mov     x20, x0
        adr     x1, words
        adr     x2, line
        mov     x3, #64
        stp     x20, x2, [x1]
        str     x3, [x1, #16]
        ask     0x06                    /* READ: 58 of 64 are left */
        want    8, 58
        adr     x1, words
        ask     0x09                    /* ISTTY */
        want    9, 0
        /* A byte that was typed. */
        ask     0x07
        mov     x21, x0
        adr     x1, line
        strb    w21, [x1]
        strb    wzr, [x1, #1]
        ask     0x04
        /* The heap: from behind the program, in the page after the next at most, to the end of 64 MiB at 1 GiB. */
        adr     x1, words
        adr     x2, line
        str     x2, [x1]
        ask     0x16
        adr     x2, line
        ldp     x3, x4, [x2]
        mov     x5, #0x44000000
        sub     x0, x4, x5
        want    11, 0
        sub     x0, x3, x2
        lsr     x0, x0, #13
        want    12, 0
        /* A pipe that is read slowly takes a mebibyte. */
        adr     x1, words
        adr     x2, pipe
        mov     x3, #4
        mov     x4, #(pipe_end - pipe - 1)
        stp     x2, x3, [x1]
        str     x4, [x1, #16]
        ask     0x01
        mov     x20, x0
        mov     x22, #0x41000000
        mov     x23, #0x100000
0:      adr     x1, words
        stp     x20, x22, [x1]
        str     x23, [x1, #16]
        ask     0x05
        mov     x9, #13
        cmp     x0, x23
        b.hi    wrong
        sub     x23, x23, x0
        add     x22, x22, x23
        mov     x23, x0
        cbnz    x23, 0b
        /* As many handles as there are; one that was closed is there again. */
        mov     x22, #0
1:      adr     x1, words
        adr     x2, console
        mov     x3, #4
        mov     x4, #3
        stp     x2, x3, [x1]
        str     x4, [x1, #16]
        ask     0x01
        mov     x9, #14
        cmn     x0, #1
        b.eq    2f
        mov     x23, x0
        add     x22, x22, #1
        cmp     x22, #0x2000
        b.ls    1b
        b       wrong
2:      adr     x1, words
        str     x23, [x1]
        ask     0x02
        want    15, 0
        adr     x1, words
        adr     x2, console
        str     x2, [x1]
        ask     0x01
        cmp     x0, x23
        mov     x9, #16
        b.ne    wrong
        /* Unknown operations fail. */
        ask     0x77
        cmn     x0, #1
        mov     x9, #10
        b.ne    wrong
        mov     x9, #42
wrong:  adr     x1, words
        ldr     x2, =0x20026            /* ADP_Stopped_ApplicationExit */
        stp     x2, x9, [x1]
        ask     0x18
0:      b       0b

        .ltorg
greeting:
        .asciz  "hello, host\n"
        /* The test replaces it. */
name:   .asciz  NAME
name_end:
pipe:   .asciz  PIPE
pipe_end:
console:
        .asciz  ":tt"
        .balign 8
words:  .skip   32
line:   .skip   64
