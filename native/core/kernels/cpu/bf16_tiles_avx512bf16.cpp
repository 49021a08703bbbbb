#include "core/kernels/cpu/bf16_lanes_avx512.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <cstring>
#include <limits>


namespace ft::kernels::cpu {
namespace {

// e^x for x <= 88, relative error below 2e-7 (Cephes expf); e^−∞ is 0.
inline __m512 Exp(__m512 x) {
  x = _mm512_max_ps(_mm512_set1_ps(-104.0f), x);  // in this order NaN stays NaN
  const __m512 k = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(k, _mm512_set1_ps(0.693359375f), x);
  r = _mm512_fmadd_ps(k, _mm512_set1_ps(2.12194440e-4f), r);
  __m512 p = _mm512_set1_ps(1.9875691500e-4f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
  p = _mm512_fmadd_ps(p, _mm512_mul_ps(r, r), _mm512_add_ps(r, _mm512_set1_ps(1.0f)));
  return _mm512_scalef_ps(p, k);
}

// tanh x = 1 − 2 / (e^2x + 1), which saturates by itself.
inline __m512 Tanh(__m512 x) {
  const __m512 e = Exp(_mm512_min_ps(_mm512_set1_ps(80.0f), _mm512_add_ps(x, x)));
  return _mm512_sub_ps(_mm512_set1_ps(1.0f), _mm512_div_ps(_mm512_set1_ps(2.0f), _mm512_add_ps(e, _mm512_set1_ps(1.0f))));
}

// 16 × 16 words, row strides in words.
inline void TransposeWords(const uint32_t* x, int64_t stride, uint32_t* out, int64_t out_stride) {
  __m512i r[16], t[16];
  for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(x + i * stride);
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    _mm512_storeu_si512(out + i * out_stride, _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
    _mm512_storeu_si512(out + (i + 4) * out_stride, _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88));
    _mm512_storeu_si512(out + (i + 8) * out_stride, _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd));
    _mm512_storeu_si512(out + (i + 12) * out_stride, _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd));
  }
}

void PackColumns(const uint16_t* x, int64_t stride, int64_t rows, int64_t columns, uint16_t* out) {
  auto* to = reinterpret_cast<uint32_t*>(out);
  alignas(64) uint32_t block[kLanes * kLanes], turned[kLanes * kLanes];
  for (int64_t c = 0; c < columns; c += 2 * kLanes) {
    const int64_t pairs = columns - c >= 2 * kLanes ? kLanes : (columns - c) / 2;
    for (int64_t r = 0; r < kTile; r += kLanes) {
      if (pairs == kLanes && rows - r >= kLanes && stride % 2 == 0) {
        TransposeWords(reinterpret_cast<const uint32_t*>(x + r * stride + c), stride / 2, to + (c / 2) * kTile + r, kTile);
        continue;
      }
      std::memset(block, 0, sizeof(block));
      for (int64_t i = 0; i < kLanes && r + i < rows; ++i) std::memcpy(block + i * kLanes, x + (r + i) * stride + c, static_cast<size_t>(pairs) * 4);
      TransposeWords(block, kLanes, turned, kLanes);
      for (int64_t i = 0; i < pairs; ++i) std::memcpy(to + (c / 2 + i) * kTile + r, turned + i * kLanes, kLanes * 4);
    }
  }
}

// Rows far apart are no stream that a processor would follow by itself.
constexpr int64_t kRowsAhead = 16;

void PackRows(const uint16_t* x, int64_t stride, int64_t rows, int64_t columns, int64_t width, uint16_t* out) {
  auto* words = reinterpret_cast<uint32_t*>(out);
  for (int64_t r = 0; r < rows; r += 2) {
    const uint16_t *a = x + r * stride, *b = a + stride;
    if (r + kRowsAhead < rows) {
      for (int64_t c = 0; c < columns; c += 2 * kLanes) {
        _mm_prefetch(a + kRowsAhead * stride + c, _MM_HINT_T0);
        _mm_prefetch(b + kRowsAhead * stride + c, _MM_HINT_T0);
      }
    }
    for (int64_t c = 0; c < width; c += kLanes) {
      const __mmask16 lanes = FirstLanes(columns - c);
      const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, a + c));
      const __m512i high = r + 1 < rows ? _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, b + c)) : _mm512_setzero_si512();
      _mm512_storeu_si512(words + (r / 2) * width + c, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
  }
}

void StoreTile(const float* c, int64_t rows, int64_t columns, const uint16_t* residual, const uint16_t* bias, uint16_t* out, int64_t stride) {
  constexpr int64_t kParts = kTile / kLanes;
  __mmask16 lanes[kParts];
  __m512 shift[kParts];
  for (int64_t i = 0; i < kParts; ++i) {
    lanes[i] = FirstLanes(columns - i * kLanes);
    shift[i] = bias == nullptr ? _mm512_setzero_ps() : FromBf16(_mm256_maskz_loadu_epi16(lanes[i], bias + i * kLanes));
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < kParts; ++i) {
      __m512 sum = _mm512_add_ps(_mm512_load_ps(c + r * kTile + i * kLanes), shift[i]);
      if (residual != nullptr) sum = _mm512_add_ps(sum, FromBf16(_mm256_maskz_loadu_epi16(lanes[i], residual + r * stride + i * kLanes)));
      _mm256_mask_storeu_epi16(out + r * stride + i * kLanes, lanes[i], ToBf16(sum));
    }
  }
}

void AddTile(const float* c, int64_t rows, int64_t columns, float scale, float* out, int64_t row_stride, int64_t column_stride) {
  const __m512 f = _mm512_set1_ps(scale);
  for (int64_t r = 0; r < rows; ++r) {
    float* to = out + r * row_stride;
    for (int64_t i = 0; i < columns; i += kLanes) {
      const __mmask16 lanes = FirstLanes(columns - i);
      const __m512 x = _mm512_load_ps(c + r * kTile + i);
      if (column_stride == 1) {
        _mm512_mask_storeu_ps(to + i, lanes, _mm512_fmadd_ps(x, f, _mm512_maskz_loadu_ps(lanes, to + i)));
        continue;
      }
      alignas(64) float values[kLanes];
      _mm512_store_ps(values, _mm512_mul_ps(x, f));
      for (int64_t l = 0; l < kLanes && i + l < columns; ++l) to[(i + l) * column_stride] += values[l];
    }
  }
}

void CopyRows(const uint16_t* x, int64_t stride, int64_t rows, int64_t n, int64_t width, uint16_t* out) {
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(out + r * width, x + r * stride, static_cast<size_t>(n) * 2);
    std::memset(out + r * width + n, 0, static_cast<size_t>(width - n) * 2);
  }
  std::memset(out + rows * width, 0, static_cast<size_t>((kTile - rows) * width) * 2);
}

void Transpose(const uint16_t* x, int64_t width, uint16_t* out, int64_t stride) {
  alignas(64) uint32_t words[kLanes * kTile];  // 32 columns at a time: words [16, kTile]
  for (int64_t c = 0; c < width; c += 2 * kLanes) {
    for (int64_t r = 0; r < kTile; r += kLanes) {
      TransposeWords(reinterpret_cast<const uint32_t*>(x + r * width + c), width / 2, words + r, kTile);
    }
    for (int64_t i = 0; i < kLanes; ++i) {
      for (int64_t r = 0; r < kTile; r += kLanes) {
        const __m512i pair = _mm512_load_si512(words + i * kTile + r);
        Store16(out + (c + 2 * i) * stride + r, _mm512_cvtepi32_epi16(pair));
        Store16(out + (c + 2 * i + 1) * stride + r, _mm512_cvtepi32_epi16(_mm512_srli_epi32(pair, 16)));
      }
    }
  }
}

void TurnLanes(const float* c, int64_t lanes, float* out) {
  for (int64_t r = 0; r < kTile; r += kLanes) {
    for (int64_t i = 0; i < lanes; i += kLanes) {
      TransposeWords(reinterpret_cast<const uint32_t*>(c + r * lanes + i), lanes, reinterpret_cast<uint32_t*>(out + i * kTile + r), kTile);
    }
  }
}

template <bool kCap>
inline __m512 Score(__m512 raw, const ScoreOptions& options) {
  const __m512 scaled = _mm512_mul_ps(raw, _mm512_set1_ps(options.scale));
  if constexpr (!kCap) return scaled;
  return _mm512_mul_ps(Tanh(_mm512_div_ps(scaled, _mm512_set1_ps(options.softcap))), _mm512_set1_ps(options.softcap));
}

template <bool kCap>
float SoftmaxRowOf(const float* scores, int64_t columns, int64_t begin, int64_t end, const ScoreOptions& options, float* maximum, float* sum,
                   uint16_t* probabilities) {
  const __m512 none = _mm512_set1_ps(-std::numeric_limits<float>::infinity());
  const int64_t first = begin / kLanes * kLanes;
  const auto seen = [&](int64_t c) -> __mmask16 { return FirstLanes(end - c) & ~FirstLanes(begin - c); };
  __m512 high = none;
  for (int64_t c = first; c < end; c += kLanes) high = _mm512_mask_max_ps(high, seen(c), high, Score<kCap>(_mm512_loadu_ps(scores + c), options));
  const float new_maximum = begin < end ? _mm512_reduce_max_ps(high) : *maximum;
  const float top = new_maximum > *maximum ? new_maximum : *maximum;
  if (top == -std::numeric_limits<float>::infinity()) {  // nothing seen yet
    std::memset(probabilities, 0, static_cast<size_t>(columns) * 2);
    return 1.0f;
  }
  const __m512 shift = _mm512_set1_ps(top);
  __m512 total = _mm512_setzero_ps();
  std::memset(probabilities, 0, static_cast<size_t>(first) * 2);
  int64_t c = first;
  for (; c < end; c += kLanes) {
    const __m512 p = _mm512_maskz_mov_ps(seen(c), Exp(_mm512_sub_ps(Score<kCap>(_mm512_loadu_ps(scores + c), options), shift)));
    total = _mm512_add_ps(total, p);
    Store16(probabilities + c, ToBf16(p));
  }
  if (c < columns) std::memset(probabilities + c, 0, static_cast<size_t>(columns - c) * 2);
  const float correction = _mm512_cvtss_f32(Exp(_mm512_set1_ps(*maximum - top)));
  *sum = *sum * correction + _mm512_reduce_add_ps(total);
  *maximum = top;
  return correction;
}

float SoftmaxRow(const float* scores, int64_t columns, int64_t begin, int64_t end, const ScoreOptions& options, float* maximum, float* sum,
                 uint16_t* probabilities) {
  return options.softcap > 0 ? SoftmaxRowOf<true>(scores, columns, begin, end, options, maximum, sum, probabilities)
                             : SoftmaxRowOf<false>(scores, columns, begin, end, options, maximum, sum, probabilities);
}

void ScaleRow(float* x, int64_t n, float factor) {
  const __m512 f = _mm512_set1_ps(factor);
  for (int64_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    _mm512_mask_storeu_ps(x + i, lanes, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), f));
  }
}

void StoreRow(const float* x, int64_t n, float factor, uint16_t* out) {
  const __m512 f = _mm512_set1_ps(factor);
  for (int64_t i = 0; i < n; i += kLanes) {
    const __mmask16 lanes = FirstLanes(n - i);
    _mm256_mask_storeu_epi16(out + i, lanes, ToBf16(_mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), f)));
  }
}

struct Softened {
  __m512 p, ds;
};

template <bool kCap, bool kMasked>
inline Softened BackwardLanes(const float* scores, const float* dp, __m512 lse, __m512 delta, __mmask16 seen, const ScoreOptions& options) {
  const __m512 score = Score<kCap>(_mm512_loadu_ps(scores), options);
  __m512 p = Exp(_mm512_sub_ps(score, lse));
  if constexpr (kMasked) p = _mm512_maskz_mov_ps(seen, p);
  __m512 ds = _mm512_mul_ps(_mm512_mul_ps(p, _mm512_sub_ps(_mm512_loadu_ps(dp), delta)), _mm512_set1_ps(options.scale));
  if constexpr (kCap) {  // d tanh = 1 − tanh²
    const __m512 t = _mm512_div_ps(score, _mm512_set1_ps(options.softcap));
    ds = _mm512_mul_ps(ds, _mm512_fnmadd_ps(t, t, _mm512_set1_ps(1.0f)));
  }
  return {p, ds};
}

template <bool kCap, bool kMasked>
void SoftmaxBackwardOf(const float* scores, const float* dp, const float* lse, const float* delta, const TileBand& band, const ScoreOptions& options,
                       uint16_t* p, uint16_t* ds, uint16_t* ds_pairs) {
  auto* words = reinterpret_cast<uint32_t*>(ds_pairs);
  for (int64_t q = 0; q < kTile; q += kLanes) {
    const __m512 lse_q = _mm512_loadu_ps(lse + q), delta_q = _mm512_loadu_ps(delta + q);
    for (int64_t k = 0; k < kTile; k += 2) {
      __m256i rows[2];
      for (int64_t i = 0; i < 2; ++i) {
        // Key k + i is seen by the queries from k + i − high to k + i − low.
        const __mmask16 seen = kMasked ? FirstLanes(k + i - band.low + 1 - q) & ~FirstLanes(k + i - band.high - q) : 0xffff;
        const int64_t at = (k + i) * kTile + q;
        const Softened s = BackwardLanes<kCap, kMasked>(scores + at, dp + at, lse_q, delta_q, seen, options);
        Store16(p + at, ToBf16(s.p));
        rows[i] = ToBf16(s.ds);
        Store16(ds + at, rows[i]);
      }
      _mm512_storeu_si512(words + (k / 2) * kTile + q,
                          _mm512_or_si512(_mm512_cvtepu16_epi32(rows[0]), _mm512_slli_epi32(_mm512_cvtepu16_epi32(rows[1]), 16)));
    }
  }
}

void SoftmaxBackward(const float* scores, const float* dp, const float* lse, const float* delta, const TileBand& band, const ScoreOptions& options,
                     uint16_t* p, uint16_t* ds, uint16_t* ds_pairs) {
  const bool masked = band.low > -kTile + 1 || band.high < kTile - 1;
  const auto run = options.softcap > 0 ? (masked ? SoftmaxBackwardOf<true, true> : SoftmaxBackwardOf<true, false>)
                                       : (masked ? SoftmaxBackwardOf<false, true> : SoftmaxBackwardOf<false, false>);
  run(scores, dp, lse, delta, band, options, p, ds, ds_pairs);
}

void StoreTransposed(const float* x, int64_t rows, int64_t n, uint16_t* out, int64_t stride) {
  alignas(64) float block[kLanes * kLanes];
  for (int64_t c = 0; c < n; c += kLanes) {
    const __mmask16 lanes = FirstLanes(n - c);
    for (int64_t r = 0; r < rows; r += kLanes) {
      TransposeWords(reinterpret_cast<const uint32_t*>(x + c * kTile + r), kTile, reinterpret_cast<uint32_t*>(block), kLanes);
      for (int64_t i = 0; i < kLanes && r + i < rows; ++i) {
        _mm256_mask_storeu_epi16(out + (r + i) * stride + c, lanes, ToBf16(_mm512_load_ps(block + i * kLanes)));
      }
    }
  }
}

}  // namespace

const Bf16Tiles& Bf16TilesAvx512() {
  static constexpr Bf16Tiles kTiles = {
      .pack_columns = PackColumns,
      .pack_rows = PackRows,
      .store_tile = StoreTile,
      .add_tile = AddTile,
      .copy_rows = CopyRows,
      .transpose = Transpose,
      .softmax_row = SoftmaxRow,
      .scale_row = ScaleRow,
      .store_row = StoreRow,
      .dot_row = DotRow,
      .add_dots = AddDots,
      .add_few_rows = AddFewRows,
      .add_lanes = AddLanes,
      .turn_lanes = TurnLanes,
      .add_weighted_rows = AddWeightedRows,
      .softmax_backward = SoftmaxBackward,
      .store_transposed = StoreTransposed,
  };
  return kTiles;
}

}  // namespace ft::kernels::cpu

#endif
