// Products of bf16 weights with one row or few of activations, as decoding makes them: every weight is read once.
#include "core/kernels/cpu/bf16_lanes_avx512.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <cstring>

namespace ft::kernels::cpu {
namespace {

inline __m512bh LoadPairs(const uint16_t* x, __mmask32 lanes) { return reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(lanes, x)); }

// One row of w at a time, so that memory is read in one stream, against kFew rows of x.
template <int64_t kFew>
void AddRows(const uint16_t* w, int64_t stride, int64_t rows, int64_t n, const uint16_t* x, int64_t x_stride, float* y) {
  for (int64_t r = 0; r < rows; ++r) {
    const uint16_t* row = w + r * stride;
    __m512 sums[kFew];
    for (__m512& sum : sums) sum = _mm512_setzero_ps();
    for (int64_t c = 0; c < n; c += 2 * kLanes) {
      const __mmask32 lanes = n - c >= 2 * kLanes ? 0xffffffffu : (1u << (n - c)) - 1;
      const __m512bh left = LoadPairs(row + c, lanes);
      for (int64_t j = 0; j < kFew; ++j) sums[j] = _mm512_dpbf16_ps(sums[j], left, LoadPairs(x + j * x_stride + c, lanes));
    }
    for (int64_t j = 0; j < kFew; ++j) y[j * kTile + r] += _mm512_reduce_add_ps(sums[j]);
  }
}

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

// Asks for memory before it is needed: a stretch further on in each of kRows rows or, where they end, in the rows after them.
template <int64_t kRows>
class RowsAhead {
 public:
  RowsAhead(const uint16_t* w, int64_t stride, int64_t n)
      : row_(reinterpret_cast<const char*>(w) + kDistance / (n * 2) * kRows * stride * 2), stride_(stride * 2), bytes_(n * 2), at_(kDistance % (n * 2)) {}
  /// The next line of every row.
  void Fetch() {
    for (int64_t i = 0; i < kRows; ++i) _mm_prefetch(row_ + i * stride_ + at_, _MM_HINT_T0);
    for (at_ += kLine; at_ >= bytes_; at_ -= bytes_) row_ += kRows * stride_;
  }

 private:
  static constexpr int64_t kDistance = 1024, kLine = 64;  // bytes
  const char* row_;
  int64_t stride_, bytes_, at_;
};

// kRows rows of w, a pair of each spread over all lanes, against kWords words of lanes of x.
template <int64_t kRows, int64_t kWords>
void AddSpread(const uint16_t* w, int64_t stride, int64_t n, const uint32_t* pairs, float* c) {
  constexpr int64_t kLinePairs = 16, lanes = kWords * kLanes;
  __m512 sums[kRows][kWords];
  for (int64_t i = 0; i < kRows; ++i) {
    for (int64_t j = 0; j < kWords; ++j) sums[i][j] = _mm512_loadu_ps(c + i * lanes + j * kLanes);
  }
  RowsAhead<kRows> ahead(w, stride, n);
  for (int64_t begin = 0; begin < n / 2; begin += kLinePairs) {
    ahead.Fetch();
    const int64_t end = begin + kLinePairs < n / 2 ? begin + kLinePairs : n / 2;
    for (int64_t pair = begin; pair < end; ++pair) {
      __m512bh x[kWords];
      for (int64_t j = 0; j < kWords; ++j) x[j] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(pairs + pair * lanes + j * kLanes));
      for (int64_t i = 0; i < kRows; ++i) {
        int both;
        std::memcpy(&both, w + i * stride + 2 * pair, sizeof(both));
        const auto value = reinterpret_cast<__m512bh>(_mm512_set1_epi32(both));
        for (int64_t j = 0; j < kWords; ++j) sums[i][j] = _mm512_dpbf16_ps(sums[i][j], x[j], value);
      }
    }
  }
  for (int64_t i = 0; i < kRows; ++i) {
    for (int64_t j = 0; j < kWords; ++j) _mm512_storeu_ps(c + i * lanes + j * kLanes, sums[i][j]);
  }
}

template <int64_t kWords>
void AddSpreadRows(const uint16_t* w, int64_t stride, int64_t rows, int64_t n, const uint32_t* pairs, float* c) {
  constexpr int64_t kRows = 8;
  int64_t r = 0;
  for (; r + kRows <= rows; r += kRows) AddSpread<kRows, kWords>(w + r * stride, stride, n, pairs, c + r * kWords * kLanes);
  for (; r < rows; ++r) AddSpread<1, kWords>(w + r * stride, stride, n, pairs, c + r * kWords * kLanes);
}

}  // namespace

float DotRow(const uint16_t* x, const uint16_t* y, int64_t n) {
  __m512 total = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    total = _mm512_fmadd_ps(FromBf16(_mm256_maskz_loadu_epi16(lanes, x + i)), FromBf16(_mm256_maskz_loadu_epi16(lanes, y + i)), total);
  }
  return _mm512_reduce_add_ps(total);
}

void AddDots(const uint16_t* w, int64_t stride, int64_t rows, int64_t n, const uint16_t* x, float* y) {
  for (int64_t r = 0; r < rows; r += kLanes) {
    const __mmask16 there = FirstLanes(rows - r);
    __m512 sums[kLanes];
    for (int64_t i = 0; i < kLanes; ++i) {
      const uint16_t* row = w + (r + i < rows ? r + i : r) * stride;
      sums[i] = _mm512_setzero_ps();
      for (int64_t c = 0; c < n; c += 2 * kLanes) {
        const __mmask32 lanes = n - c >= 2 * kLanes ? 0xffffffffu : (1u << (n - c)) - 1;
        sums[i] = _mm512_dpbf16_ps(sums[i], LoadPairs(row + c, lanes), LoadPairs(x + c, lanes));
      }
    }
    _mm512_mask_storeu_ps(y + r, there, _mm512_add_ps(_mm512_maskz_loadu_ps(there, y + r), SumsOf(sums)));
  }
}

void AddFewRows(const uint16_t* w, int64_t stride, int64_t rows, int64_t n, const uint16_t* x, int64_t x_stride, int64_t few, float* y) {
  constexpr int64_t kShort = 4 * kLanes;  // rows of w whose sums cost more than their products
  if (n <= kShort) {
    for (int64_t j = 0; j < few; ++j) AddDots(w, stride, rows, n, x + j * x_stride, y + j * kTile);
    return;
  }
  constexpr decltype(&AddRows<1>) kRun[kMostFew] = {AddRows<1>, AddRows<2>, AddRows<3>, AddRows<4>};
  kRun[few - 1](w, stride, rows, n, x, x_stride, y);
}

void AddLanes(const uint16_t* w, int64_t stride, int64_t rows, int64_t n, const uint16_t* pairs, int64_t lanes, float* c) {
  (lanes == kLanes ? AddSpreadRows<1> : AddSpreadRows<2>)(w, stride, rows, n, reinterpret_cast<const uint32_t*>(pairs), c);
}

void AddWeightedRows(const uint16_t* weights, const uint16_t* x, int64_t stride, int64_t rows, int64_t n, float* y) {
  constexpr int64_t kTogether = 4;  // sums that do not wait for one another
  for (int64_t i = 0; i < n; i += kTogether * kLanes) {
    __mmask16 lanes[kTogether];
    __m512 sums[kTogether];
    for (int64_t j = 0; j < kTogether; ++j) lanes[j] = FirstLanes(n - i - j * kLanes), sums[j] = _mm512_maskz_loadu_ps(lanes[j], y + i + j * kLanes);
    for (int64_t r = 0; r < rows; ++r) {
      const __m512 weight = _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(static_cast<uint32_t>(weights[r]) << 16)));
      for (int64_t j = 0; j < kTogether; ++j) {
        sums[j] = _mm512_fmadd_ps(weight, FromBf16(_mm256_maskz_loadu_epi16(lanes[j], x + r * stride + i + j * kLanes)), sums[j]);
      }
    }
    for (int64_t j = 0; j < kTogether; ++j) _mm512_mask_storeu_ps(y + i + j * kLanes, lanes[j], sums[j]);
  }
}

}  // namespace ft::kernels::cpu

#endif
