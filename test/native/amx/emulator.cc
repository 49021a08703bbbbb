// AMX's tile instructions on a processor without them, for `npm run test:processors`: a library to preload, which answers the
// illegal instructions of oneDNN's AMX kernels. It is strict: a tile that was not configured, or shapes that do not agree,
// end the process. A copy of LibTorch with `cpuid` as `ud2` and `xgetbv` as `ud2, d0` (scripts/test/amx-libtorch.mjs) is told that the
// processor has AMX. Intel SDM, volume 2, and "Intel Architecture Instruction Set Extensions Programming Reference".
#include <cpuid.h>
#include <dlfcn.h>
#include <immintrin.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include <atomic>
#include <csignal>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kTiles = 8, kRows = 16, kRowBytes = 64;

struct Tile {
  uint8_t rows[kRows][kRowBytes];
};

struct Tiles {
  bool configured = false;
  uint8_t config[64] = {};
  Tile tile[kTiles] = {};
  int Rows(int t) const { return config[48 + t]; }
  int RowBytes(int t) const { return config[16 + 2 * t] | config[17 + 2 * t] << 8; }
};

// Of this thread. The model keeps it off the heap: a signal handler must not allocate.
thread_local Tiles g_tiles __attribute__((tls_model("initial-exec")));
std::atomic<long> g_products{0};

[[noreturn]] void Die(const char* what, const uint8_t* at) {
  std::fprintf(stderr, "AMX emulator: %s:", what);
  for (int i = 0; i < 12; ++i) std::fprintf(stderr, " %02x", at[i]);
  std::fprintf(stderr, "\n");
  std::abort();
}

// This processor's answer, and the AMX leaves of one with palette 1.
void Cpuid(greg_t* registers) {
  const auto leaf = static_cast<unsigned>(registers[REG_RAX]), sub = static_cast<unsigned>(registers[REG_RCX]);
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (leaf == 0x1d) {
    if (sub == 0) a = 1;
    if (sub == 1) a = kTiles * kRows * kRowBytes | (kRows * kRowBytes) << 16, b = kRowBytes | kTiles << 16, c = kRows;
  } else if (leaf == 0x1e) {
    b = 16 | 64 << 8;
  } else {
    __cpuid_count(leaf, sub, a, b, c, d);
    if (leaf == 0) a = 0x1e;
    if (leaf == 7 && sub == 0) a = a < 1 ? 1 : a, d |= 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25;  // bf16, fp16 (which oneDNN wants beside), tiles, int8
    if (leaf == 7 && sub == 1) a |= 1u << 4 | 1u << 5;                                                // AVX-VNNI, AVX512-bf16
  }
  registers[REG_RAX] = a, registers[REG_RBX] = b, registers[REG_RCX] = c, registers[REG_RDX] = d;
}

void Xgetbv(greg_t* registers) {
  unsigned low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  registers[REG_RAX] = low | 3u << 17, registers[REG_RDX] = high;
}

// A VEX-coded instruction of map 0F38: what its fields say.
struct Decoded {
  int prefix, opcode, mode, reg, rm, v, modrm, length;
  uint8_t* address = nullptr;  // of its memory operand, without the index
  int64_t index = 0;           // of a tile's rows: their stride

  Decoded(const uint8_t* at, const greg_t* registers) {
    constexpr int kOrder[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    const int high_x = at[1] & 0x40 ? 0 : 8, high_b = at[1] & 0x20 ? 0 : 8;
    if (at[0] != 0xc4 || (at[1] & 0x9f) != 0x82 || (at[2] & 0x84) != 0) Die("an instruction that is not AMX's", at);
    prefix = at[2] & 3, v = ~at[2] >> 3 & 15, opcode = at[3], modrm = at[4];
    mode = modrm >> 6, reg = modrm >> 3 & 7, rm = modrm & 7, length = 5;
    if (mode == 3) return;
    const auto displacement = [&](int bytes) {
      int32_t value = static_cast<int8_t>(at[length]);
      if (bytes == 4) std::memcpy(&value, at + length, 4);
      length += bytes;
      return static_cast<int64_t>(value);
    };
    int64_t base = 0;
    bool wide = mode == 2;
    if (rm == 4) {
      const int sib = at[length++], i = (sib >> 3 & 7) | high_x, b = sib & 7;
      if (i != 4) index = registers[kOrder[i]] << (sib >> 6);
      if (b == 5 && mode == 0) wide = true;
      else base = registers[kOrder[b | high_b]];
    } else if (rm == 5 && mode == 0) {
      Die("a memory operand relative to the instruction", at);
    } else {
      base = registers[kOrder[rm | high_b]];
    }
    if (wide) base += displacement(4);
    if (mode == 1) base += displacement(1);
    address = reinterpret_cast<uint8_t*>(base);
  }
};

void Configure(const uint8_t* from, const uint8_t* at) {
  Tiles& t = g_tiles;
  std::memcpy(t.config, from, sizeof(t.config));
  if (t.config[0] > 1) Die("a palette that there is not", at);
  for (int i = 0; i < kTiles; ++i) {
    if (t.Rows(i) > kRows || t.RowBytes(i) > kRowBytes || (t.Rows(i) == 0) != (t.RowBytes(i) == 0)) Die("a tile out of range", at);
  }
  t.configured = t.config[0] == 1;
  std::memset(t.tile, 0, sizeof(t.tile));
}

// tile[c] += tile[a] · tile[b] in pairs of bf16.
void MultiplyTiles(int c, int a, int b, const uint8_t* at) {
  Tiles& t = g_tiles;
  const int rows = t.Rows(c), pairs = t.RowBytes(a) / 4, columns = t.RowBytes(c) / 4;
  if (a == b || a == c || b == c || t.Rows(a) != rows || t.Rows(b) != pairs || t.RowBytes(b) != columns * 4 || (t.RowBytes(a) | t.RowBytes(c)) % 4 != 0) {
    Die("tiles whose shapes do not agree", at);
  }
  for (int m = 0; m < rows; ++m) {
    __m512 sum = _mm512_loadu_ps(t.tile[c].rows[m]);
    for (int k = 0; k < pairs; ++k) {
      int pair;
      std::memcpy(&pair, t.tile[a].rows[m] + 4 * k, 4);
      sum = _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair)), reinterpret_cast<__m512bh>(_mm512_loadu_si512(t.tile[b].rows[k])));
    }
    _mm512_mask_storeu_ps(t.tile[c].rows[m], static_cast<__mmask16>((1u << columns) - 1), sum);
  }
  ++g_products;
}

int RunTileInstruction(const uint8_t* at, const greg_t* registers) {
  const Decoded d(at, registers);
  Tiles& t = g_tiles;
  const bool memory = d.mode != 3;
  const auto usable = [&](int tile) {
    if (!t.configured || tile >= kTiles || t.Rows(tile) == 0) Die("a tile that is not configured", at);
    return tile;
  };
  if (d.opcode == 0x49 && memory && d.prefix == 0) {
    Configure(d.address, at);
  } else if (d.opcode == 0x49 && memory && d.prefix == 1) {
    std::memcpy(d.address, t.config, sizeof(t.config));
  } else if (d.opcode == 0x49 && d.modrm == 0xc0 && d.prefix == 0) {
    t.configured = false;
    std::memset(t.config, 0, sizeof(t.config));
  } else if (d.opcode == 0x49 && !memory && d.prefix == 3) {
    t.tile[usable(d.reg)] = {};
  } else if (d.opcode == 0x4b && memory && (d.prefix == 3 || d.prefix == 1)) {
    Tile loaded = {};
    for (int r = 0; r < t.Rows(usable(d.reg)); ++r) std::memcpy(loaded.rows[r], d.address + d.index * r, static_cast<size_t>(t.RowBytes(d.reg)));
    t.tile[d.reg] = loaded;
  } else if (d.opcode == 0x4b && memory && d.prefix == 2) {
    for (int r = 0; r < t.Rows(usable(d.reg)); ++r) std::memcpy(d.address + d.index * r, t.tile[d.reg].rows[r], static_cast<size_t>(t.RowBytes(d.reg)));
  } else if (d.opcode == 0x5c && !memory && d.prefix == 2) {
    MultiplyTiles(usable(d.reg), usable(d.rm), usable(d.v), at);
  } else {
    Die("an instruction of AMX that is not emulated", at);
  }
  return d.length;
}

// AVX512-FP16's vcvtph2psx is AVX512's vcvtph2ps in another map.
bool Renamed(uint8_t* at) {
  if (at[0] != 0x62 || at[4] != 0x13) return false;
  if ((at[1] & 7) == 6) {
    mprotect(reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(at) & ~uintptr_t{4095}), 8192, PROT_READ | PROT_WRITE | PROT_EXEC);
    at[1] = static_cast<uint8_t>((at[1] & ~7) | 2);
  }
  return true;  // or another thread was faster
}

void OnIllegalInstruction(int, siginfo_t*, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  auto* at = reinterpret_cast<uint8_t*>(registers[REG_RIP]);
  if (at[0] == 0x0f && at[1] == 0x0b) {
    const bool xgetbv = at[2] == 0xd0;
    (xgetbv ? Xgetbv : Cpuid)(registers);
    registers[REG_RIP] += xgetbv ? 3 : 2;
  } else if (!Renamed(at)) {
    registers[REG_RIP] += RunTileInstruction(at, registers);
  }
}

__attribute__((constructor(101))) void Start() {
  struct sigaction action = {};
  action.sa_sigaction = OnIllegalInstruction;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaction(SIGILL, &action, nullptr);
}

// How many products there were, to the file that the environment names: without any, nothing was emulated.
__attribute__((destructor)) void Stop() {
  const char* path = std::getenv("FT_AMX_PRODUCTS");
  std::FILE* file = path == nullptr ? nullptr : std::fopen(path, "w");
  if (file == nullptr) return;
  std::fprintf(file, "%ld\n", g_products.load());
  std::fclose(file);
}

}  // namespace

// The kernel's permission to use tiles, which it cannot give here.
extern "C" long syscall(long number, ...) {
  constexpr long kGetSupported = 0x1021, kGetPermitted = 0x1022, kRequest = 0x1023;
  va_list list;
  va_start(list, number);
  long a[6];
  for (long& argument : a) argument = va_arg(list, long);
  va_end(list);
  if (number == SYS_arch_prctl && (a[0] == kGetSupported || a[0] == kGetPermitted)) {
    *reinterpret_cast<uint64_t*>(a[1]) = 0x600e7;
    return 0;
  }
  if (number == SYS_arch_prctl && a[0] == kRequest) return 0;
  static const auto real = reinterpret_cast<long (*)(long, ...)>(dlsym(RTLD_NEXT, "syscall"));
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
