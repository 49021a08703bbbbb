#include "core/kernels/expert_rows.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "core/kernels/cpu/row_ops_tensor.h"

namespace ft::kernels {
namespace {

constexpr int64_t kPiece = 512;  // columns summed at a time, on the stack

inline float ToFloat(float x) { return x; }
inline float ToFloat(c10::BFloat16 x) { return static_cast<float>(x); }

bool Dense(const at::Tensor& x) { return x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) && x.is_contiguous(); }

template <typename T>
void AddRow(const T* row, int64_t n, float* sum) {
  for (int64_t i = 0; i < n; ++i) sum[i] += ToFloat(row[i]);
}

template <typename T>
void SumOfRowsLoop(const T* rows, const int64_t* position, const T* addend, int64_t begin, int64_t end, int64_t k, int64_t n, T* y) {
  alignas(64) float sum[kPiece];
  for (int64_t token = begin; token < end; ++token) {
    for (int64_t at = 0; at < n; at += kPiece) {
      const int64_t count = std::min(kPiece, n - at);
      std::fill_n(sum, count, 0.0f);
      for (int64_t j = 0; j < k; ++j) AddRow(rows + position[token * k + j] * n + at, count, sum);
      if (addend != nullptr) AddRow(addend + token * n + at, count, sum);
      for (int64_t i = 0; i < count; ++i) y[token * n + at + i] = static_cast<T>(sum[i]);
    }
  }
}

template <typename T>
void RowDotsLoop(const T* a, const T* b, int64_t begin, int64_t end, int64_t n, float* dots) {
  constexpr int64_t kLanes = 16;  // partial sums that the compiler keeps in vectors
  for (int64_t row = begin; row < end; ++row) {
    const T *x = a + row * n, *y = b + row * n;
    float partial[kLanes] = {};
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) partial[lane] += ToFloat(x[i + lane]) * ToFloat(y[i + lane]);
    }
    float sum = 0;
    for (; i < n; ++i) sum += ToFloat(x[i]) * ToFloat(y[i]);
    for (const float value : partial) sum += value;
    dots[row] = sum;
  }
}

template <typename Fn>
void ForType(const at::Tensor& x, const Fn& fn) {
  if (x.scalar_type() == at::kFloat) {
    fn.template operator()<float>();
  } else {
    fn.template operator()<c10::BFloat16>();
  }
}

}  // namespace

at::Tensor SumOfRows(const at::Tensor& rows, const at::Tensor& position, const at::Tensor& addend) {
  if (!Dense(rows)) return composite::SumOfRows(rows, position, addend);
  const int64_t tokens = position.size(0), k = position.size(1), n = rows.size(1);
  const at::Tensor index = position.contiguous(), added = addend.defined() ? addend.to(rows.scalar_type()).contiguous() : addend;
  at::Tensor y = at::empty({tokens, n}, rows.options());
  ForType(rows, [&]<typename T>() {
    const T* extra = added.defined() ? added.const_data_ptr<T>() : nullptr;
    at::parallel_for(0, tokens, cpu::RowGrain(n * (k + 1)), [&](int64_t begin, int64_t end) {
      SumOfRowsLoop(rows.const_data_ptr<T>(), index.const_data_ptr<int64_t>(), extra, begin, end, k, n, y.mutable_data_ptr<T>());
    });
  });
  return y;
}

at::Tensor RowDots(const at::Tensor& a, const at::Tensor& b) {
  if (!Dense(a) || !Dense(b) || a.scalar_type() != b.scalar_type()) return composite::RowDots(a, b);
  const int64_t rows = a.size(0), n = a.size(1);
  at::Tensor dots = at::empty({rows}, a.options().dtype(at::kFloat));
  ForType(a, [&]<typename T>() {
    at::parallel_for(0, rows, cpu::RowGrain(n), [&](int64_t begin, int64_t end) {
      RowDotsLoop(a.const_data_ptr<T>(), b.const_data_ptr<T>(), begin, end, n, dots.mutable_data_ptr<float>());
    });
  });
  return dots;
}

}  // namespace ft::kernels
