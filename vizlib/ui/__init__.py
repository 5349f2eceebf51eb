"""What all pages share of Streamlit. The only part of vizlib that imports it."""
