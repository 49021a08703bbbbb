// Products of bf16 weights with one row or few of activations, as decoding makes them: every weight is read once.
#include "core/kernels/cpu/bf16_lanes_avx512.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <cstring>

namespace ft::kernels::cpu {
namespace {

inline __m512bh LoadPairs(const uint16_t* x, __mmask32 lanes) { return reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(lanes, x)); }

// Lane i: the sum of v[i].
inline __m512 SumsOf(const __m512 (&v)[16]) {
  __m512 quads[4];
  for (int i = 0; i < 4; ++i) {
    const __m512 a = _mm512_add_ps(_mm512_unpacklo_ps(v[4 * i], v[4 * i + 1]), _mm512_unpackhi_ps(v[4 * i], v[4 * i + 1]));
    const __m512 b = _mm512_add_ps(_mm512_unpacklo_ps(v[4 * i + 2], v[4 * i + 3]), _mm512_unpackhi_ps(v[4 * i + 2], v[4 * i + 3]));
    const __m512d x = _mm512_castps_pd(a), y = _mm512_castps_pd(b);
    quads[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(x, y)), _mm512_castpd_ps(_mm512_unpackhi_pd(x, y)));
  }
  const auto fold = [](__m512 a, __m512 b) { return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd)); };
  return fold(fold(quads[0], quads[1]), fold(quads[2], quads[3]));
}

// Asks for the lines of a piece of weights, some in each of `turns` turns.
class LineWalk {
 public:
  LineWalk(const WeightPiece& piece, int64_t turns)
      : row_(reinterpret_cast<const char*>(piece.w)), stride_(piece.stride * 2), bytes_(piece.columns * 2), rows_(piece.w == nullptr ? 0 : piece.rows) {
    each_ = (rows_ * ((bytes_ + kLine - 1) / kLine) + turns - 1) / turns;
  }
  void Turn() {
    for (int64_t i = 0; i < each_ && rows_ > 0; ++i) {
      _mm_prefetch(row_ + at_, _MM_HINT_T0);
      at_ += kLine;
      if (at_ < bytes_) continue;
      at_ = 0, row_ += stride_, --rows_;
    }
  }

 private:
  static constexpr int64_t kLine = 64;
  const char* row_;
  int64_t stride_, bytes_, rows_, at_ = 0, each_;
};

}  // namespace

float DotRow(const uint16_t* x, const uint16_t* y, int64_t n) {
  __m512 total = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    total = _mm512_fmadd_ps(FromBf16(_mm256_maskz_loadu_epi16(lanes, x + i)), FromBf16(_mm256_maskz_loadu_epi16(lanes, y + i)), total);
  }
  return _mm512_reduce_add_ps(total);
}

void AddMatrixVector(const uint16_t* w, int64_t stride, int64_t rows, int64_t n, const uint16_t* x, float* y) {
  constexpr int64_t kTogether = 4;
  for (int64_t r = 0; r < rows; r += kTogether) {
    const int64_t count = rows - r < kTogether ? rows - r : kTogether;
    __m512 sums[kTogether] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    const uint16_t* row[kTogether];
    for (int64_t i = 0; i < kTogether; ++i) row[i] = w + (r + (i < count ? i : 0)) * stride;
    for (int64_t c = 0; c < n; c += 2 * kLanes) {
      const __mmask32 lanes = n - c >= 2 * kLanes ? 0xffffffffu : (1u << (n - c)) - 1;
      const __m512bh right = LoadPairs(x + c, lanes);
      for (int64_t i = 0; i < kTogether; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], LoadPairs(row[i] + c, lanes), right);
    }
    for (int64_t i = 0; i < count; ++i) y[r + i] += _mm512_reduce_add_ps(sums[i]);
  }
}

// Four rows of x against four of w; what is missing of either is a row again, whose sums are not stored.
void AddFewRows(const uint16_t* w, int64_t stride, int64_t rows, int64_t n, const uint16_t* x, int64_t x_stride, int64_t few, float* y) {
  for (int64_t r = 0; r < rows; r += 4) {
    const uint16_t* w_row[4];
    for (int64_t i = 0; i < 4; ++i) w_row[i] = w + (r + i < rows ? r + i : r) * stride;
    for (int64_t m = 0; m < few; m += 4) {
      const uint16_t* x_row[4];
      for (int64_t i = 0; i < 4; ++i) x_row[i] = x + (m + i < few ? m + i : m) * x_stride;
      __m512 sums[16];
      for (__m512& sum : sums) sum = _mm512_setzero_ps();
      for (int64_t c = 0; c < n; c += 2 * kLanes) {
        const __mmask32 lanes = n - c >= 2 * kLanes ? 0xffffffffu : (1u << (n - c)) - 1;
        __m512bh left[4];
        for (int i = 0; i < 4; ++i) left[i] = LoadPairs(w_row[i] + c, lanes);
        for (int j = 0; j < 4; ++j) {
          const __m512bh right = LoadPairs(x_row[j] + c, lanes);
          for (int i = 0; i < 4; ++i) sums[4 * j + i] = _mm512_dpbf16_ps(sums[4 * j + i], left[i], right);
        }
      }
      alignas(64) float block[16];
      _mm512_store_ps(block, SumsOf(sums));
      for (int64_t j = 0; j < 4 && m + j < few; ++j) {
        for (int64_t i = 0; i < 4 && r + i < rows; ++i) y[(m + j) * kTile + r + i] += block[4 * j + i];
      }
    }
  }
}

// Eight rows of x against 32 columns: 16 sums in registers, and a line of the next piece asked for in each turn, so that
// memory and arithmetic go on together.
void AddPackedRows(const uint16_t* packed, int64_t n, const uint16_t* x, int64_t x_stride, int64_t few, const WeightPiece& next, float* y) {
  constexpr int64_t kTogether = kPackedRows, kColumns = 2 * kLanes;
  const auto* words = reinterpret_cast<const uint32_t*>(packed);
  LineWalk walk(next, few / kTogether * (kTile / kColumns) * (n / 2));
  for (int64_t m = 0; m < few; m += kTogether) {
    for (int64_t column = 0; column < kTile; column += kColumns) {
      float* to = y + m * kTile + column;
      __m512 low[kTogether], high[kTogether];
      for (int64_t j = 0; j < kTogether; ++j) low[j] = _mm512_load_ps(to + j * kTile), high[j] = _mm512_load_ps(to + j * kTile + kLanes);
      for (int64_t pair = 0; pair < n / 2; ++pair) {
        const auto left = reinterpret_cast<__m512bh>(_mm512_loadu_si512(words + pair * kTile + column));
        const auto right = reinterpret_cast<__m512bh>(_mm512_loadu_si512(words + pair * kTile + column + kLanes));
        for (int64_t j = 0; j < kTogether; ++j) {
          int both;
          std::memcpy(&both, x + (m + j) * x_stride + 2 * pair, sizeof(both));
          const auto value = reinterpret_cast<__m512bh>(_mm512_set1_epi32(both));
          low[j] = _mm512_dpbf16_ps(low[j], left, value);
          high[j] = _mm512_dpbf16_ps(high[j], right, value);
        }
        walk.Turn();
      }
      for (int64_t j = 0; j < kTogether; ++j) _mm512_store_ps(to + j * kTile, low[j]), _mm512_store_ps(to + j * kTile + kLanes, high[j]);
    }
  }
}

void AddWeightedRows(const uint16_t* weights, const uint16_t* x, int64_t stride, int64_t rows, int64_t n, float* y) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    __m512 sum = _mm512_maskz_loadu_ps(lanes, y + i);
    for (int64_t r = 0; r < rows; ++r) {
      const __m512 weight = _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(static_cast<uint32_t>(weights[r]) << 16)));
      sum = _mm512_fmadd_ps(weight, FromBf16(_mm256_maskz_loadu_epi16(lanes, x + r * stride + i)), sum);
    }
    _mm512_mask_storeu_ps(y + i, lanes, sum);
  }
}

}  // namespace ft::kernels::cpu

#endif
