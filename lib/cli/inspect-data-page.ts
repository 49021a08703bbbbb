// Style and script of the page of `inspect data --html`: small, without anything from elsewhere.

export const pageStyle = `
:root{--bg:#fff;--fg:#1c2024;--dim:#60646c;--line:#d9d9e0;--learned:#d3f4e0;--learned-fg:#0b5c33;--special:#e6dcff;--special-fg:#4a2fa0;--bar:#3b82c4;--cut:#a9cdea;--error:#b3261e;--warning:#8a5a00}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){--bg:#15171a;--fg:#e6e8eb;--dim:#9ba1a6;--line:#33373c;--learned:#133d28;--learned-fg:#8ce5b4;--special:#32265c;--special-fg:#c9b8ff;--bar:#5aa2dd;--cut:#2d4d66;--error:#ff8a80;--warning:#f0b84c}}
:root[data-theme=dark]{--bg:#15171a;--fg:#e6e8eb;--dim:#9ba1a6;--line:#33373c;--learned:#133d28;--learned-fg:#8ce5b4;--special:#32265c;--special-fg:#c9b8ff;--bar:#5aa2dd;--cut:#2d4d66;--error:#ff8a80;--warning:#f0b84c}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif}
header{display:flex;justify-content:space-between;align-items:center;gap:1rem;padding:1rem 1.5rem;border-bottom:1px solid var(--line)}
h1{font-size:1.2rem;margin:0;overflow-wrap:anywhere}h2{font-size:1.05rem;margin:2rem 0 .6rem}h3{font-size:.9rem;font-weight:500;color:var(--dim);margin:0 0 .3rem}
main{max-width:70rem;padding:1rem 1.5rem 4rem;margin:auto}
button,input[type=search]{font:inherit;color:inherit;background:transparent;border:1px solid var(--line);border-radius:6px;padding:.25rem .6rem}
table{border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:.2rem .9rem .2rem 0;overflow-wrap:anywhere}
.facts th{color:var(--dim);font-weight:500;white-space:nowrap}.facts .warning td{color:var(--warning)}
details{border-bottom:1px solid var(--line);padding:.4rem 0}summary{cursor:pointer}details ul{margin:.4rem 0;padding-left:1.4rem}details p{margin:.2rem 0 .4rem;color:var(--dim)}
strong.error{color:var(--error)}strong.warning{color:var(--warning)}
svg{max-width:100%;height:auto}svg text{fill:var(--fg);font:12px system-ui,sans-serif}rect{fill:var(--bar)}rect.cut{fill:var(--cut)}
code{font:13px ui-monospace,monospace;overflow-wrap:anywhere}
article{border:1px solid var(--line);border-radius:8px;padding:.7rem .9rem;margin:.7rem 0}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font:13px/1.6 ui-monospace,monospace}
.t{color:var(--dim)}.t.l{background:var(--learned);color:var(--learned-fg)}.t.s{color:var(--special-fg);background:var(--special);border-radius:3px;padding:0 2px}.t.l.s{outline:2px solid var(--learned)}
.borders .t{box-shadow:inset -1px 0 0 var(--line)}
.tools{display:flex;gap:1rem;align-items:center;flex-wrap:wrap}[hidden]{display:none}
`

export const pageScript = `
const root=document.documentElement,rows=[...document.querySelectorAll('article')],texts=rows.map(row=>row.textContent.toLowerCase())
document.getElementById('theme').addEventListener('click',()=>{const dark=root.dataset.theme?root.dataset.theme==='dark':matchMedia('(prefers-color-scheme:dark)').matches;root.dataset.theme=dark?'light':'dark'})
const search=document.getElementById('search'),count=document.getElementById('count')
if(search){search.addEventListener('input',()=>{const wanted=search.value.toLowerCase();let shown=0;rows.forEach((row,i)=>{row.hidden=!texts[i].includes(wanted);shown+=row.hidden?0:1});count.textContent=wanted===''?'':shown+' of '+rows.length+' rows'})
document.getElementById('borders').addEventListener('change',event=>root.classList.toggle('borders',event.target.checked))}
`
