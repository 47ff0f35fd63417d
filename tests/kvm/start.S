/* SPDX-License-Identifier: MIT */
/*
 * The first 64 KiB of a machine without other firmware: from the reset vector to 32-bit code (programs.c), and the entries of all
 * exceptions and interrupts. The same image is at 0xf0000 and below 4 GiB.
 */
    .code16
    .section .text.start, "ax"
    .globl start
start:
    cli
    lgdtl %cs:(gdt_pointer - start)
    movl %cr0, %eax
    orl $1, %eax
    movl %eax, %cr0
    ljmpl $8, $start32

    .code32
start32:
    movw $16, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movw %ax, %fs
    movw %ax, %gs
    /* The PIT counts from a reset on. KVM's stops at a count only: one for a gate that never rises (mode 5). Then its output is low, and
       waits for a count (mode 0). The interrupt controllers are masked. */
    movb $0x3a, %al
    outb %al, $0x43
    xorb %al, %al
    outb %al, $0x40
    outb %al, $0x40
    movb $0x30, %al
    outb %al, $0x43
    movb $0xff, %al
    outb %al, $0x21
    outb %al, $0xa1
    movl $0x4000, %eax /* a stack for each CPU */
    lock xaddl %eax, 0x9000
    movl $0x80000, %esp
    subl %eax, %esp
    shrl $14, %eax
    pushl %eax
    call main
1:  hlt
    jmp 1b

    .balign 8
gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    .word gdt_pointer - gdt - 1
    .long gdt

    .balign 4
    .globl entries
entries: /* the addresses of all entries */
    .set n, 0
    .rept 64
    .long entry_0 + 16 * n
    .set n, n + 1
    .endr

    .balign 16
    .set n, 0
entry_0:
    .rept 64
    .balign 16
    .if n == 8 || (n >= 10 && n <= 14) || n == 17
    nop
    nop
    .else
    pushl $0
    .endif
    pushl $n
    jmp common
    .set n, n + 1
    .endr

common:
    pushal
    pushl %esp
    call take
    addl $4, %esp
    popal
    addl $8, %esp
    iretl
