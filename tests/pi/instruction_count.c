// A QEMU plugin: how many instructions a guest executes between two marks, and how many of them are dot products.
//
// A guest sets a mark by write(-77, …), which fails harmlessly everywhere else. Each mark prints, to stderr,
//     instructions=N dot_products=N
// executed since the one before. Counts are exact while the guest has one thread: the counters are not atomic.
//
// Debian's QEMU 7.2 has the plugin interface (version 1) but no package has its header, hence the declarations.
// Documentation: https://www.qemu.org/docs/master/devel/tcg-plugins.html

#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum inline_operation { ADD_U64 };
typedef void (*on_translation)(plugin_id, struct qemu_plugin_tb *);
typedef void (*on_syscall)(plugin_id, unsigned int vcpu, int64_t number, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                           uint64_t, uint64_t, uint64_t);

extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, on_translation);
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum inline_operation, void *, uint64_t);
extern void qemu_plugin_register_vcpu_syscall_cb(plugin_id, on_syscall);

EXPORTED int qemu_plugin_version = 1;

static const int32_t MARK = -77;
static uint64_t instructions, dot_products;
static uint64_t instructions_at_mark, dot_products_at_mark;

// SDOT and UDOT, by vector and by element (Arm Architecture Reference Manual, C7.2).
static int is_dot_product(uint32_t word)
{
    return (word & 0x9fe0fc00u) == 0x0e809400u || (word & 0x9fc0f400u) == 0x0f80e000u;
}

static void translated(plugin_id id, struct qemu_plugin_tb *block)
{
    size_t length = qemu_plugin_tb_n_insns(block);
    uint64_t dots = 0;
    for (size_t i = 0; i < length; i++) {
        uint32_t word;
        memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), sizeof word);
        dots += is_dot_product(word);
    }
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &instructions, length);
    if (dots)
        qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &dot_products, dots);
}

static void called(plugin_id id, unsigned int vcpu, int64_t number, uint64_t descriptor, uint64_t a2, uint64_t a3,
                   uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8)
{
    if ((int32_t)descriptor != MARK)
        return;
    fprintf(stderr, "instructions=%" PRIu64 " dot_products=%" PRIu64 "\n", instructions - instructions_at_mark,
            dot_products - dot_products_at_mark);
    instructions_at_mark = instructions;
    dot_products_at_mark = dot_products;
}

EXPORTED int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, called);
    return 0;
}
